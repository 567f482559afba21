import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { LimitPlan } from '../../sidecar/stores/limiter-store.ts';
import { certainShareOfBound, shareOfLimit } from './admitted-bound.ts';
import { RedisServer, redisMissing } from './redis-server.ts';
import type { ReplicaReport, ReplicaTask } from './replica-process.ts';

const REPLICAS = 4;
const WINDOW_MS = 1000;
const LIMIT = 100;
const FOR_MS = 3000;

describe('four processes on one Redis, by its own clock', { skip: redisMissing() }, () => {
  let server: RedisServer;

  before(async () => {
    server = await RedisServer.start();
  });
  after(() => server.remove());

  for (const algorithm of ['SlidingWindow', 'TokenBucket', 'FixedWindow'] as const) {
    it(`${algorithm}: all together never exceed the bound`, async () => {
      const burst = algorithm === 'TokenBucket' ? 10 : 0;
      const plan: LimitPlan = {
        name: algorithm,
        algorithm,
        limit: LIMIT,
        windowMs: WINDOW_MS,
        burst,
        onStoreFailure: 'Deny',
      };
      const reports = await Promise.all(Array.from({ length: REPLICAS }, (_, i) => replica(`pod-${i}`, plan)));
      assert.equal(
        reports.reduce((sum, { degraded }) => sum + degraded, 0),
        0,
      );
      const admissions = reports.flatMap((report) => report.admissions);
      const most = certainShareOfBound(plan, admissions);
      const utilisation = shareOfLimit(plan, admissions);
      console.log(
        `${algorithm}, ${REPLICAS} processes: admitted / bound ${most.toFixed(3)}, ${(100 * utilisation).toFixed(1)} % of the limit used`,
      );
      assert.ok(most <= 1);
      assert.ok(admissions.length >= LIMIT, 'the load must reach the limit for the check to mean something');
    });
  }

  async function replica(name: string, plan: LimitPlan): Promise<ReplicaReport> {
    const child = fork(join(import.meta.dirname, 'replica-process.ts'));
    const exited = once(child, 'exit');
    child.send({ redisUrl: server.url, replica: name, plan, forMs: FOR_MS, pauseMs: 2 } satisfies ReplicaTask);
    const [report] = await once(child, 'message');
    await exited;
    return report as ReplicaReport;
  }
});

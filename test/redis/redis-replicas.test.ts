import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { LimitAlgorithm } from '../../policy/bundle/types.ts';
import type { LimitPlan } from '../../sidecar/stores/limiter-store.ts';
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
      const utilisation = used(plan, admissions);
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

/** Share of the limit that was admitted over whole windows, the first burst of a bucket left out. */
function used(
  { algorithm, limit, windowMs, burst }: LimitPlan,
  admissions: readonly (readonly [number, number])[],
): number {
  const first = Math.min(...admissions.map(([asked]) => asked));
  const last = Math.max(...admissions.map(([, answered]) => answered));
  const from = algorithm === 'FixedWindow' ? Math.ceil(first / windowMs) * windowMs : first;
  const windows = Math.floor((last - from) / windowMs);
  const within = admissions.filter(([asked, answered]) => asked >= from && answered < from + windows * windowMs);
  return (within.length - burst) / (limit * windows);
}

/**
 * The share of the bound that was certainly reached: Redis decided somewhere between asking and answering, so only admissions
 * whose whole time lies in an interval count for it.
 */
function certainShareOfBound(plan: LimitPlan, admissions: readonly (readonly [number, number])[]): number {
  const byEnd = admissions.toSorted((one, other) => one[1] - other[1]);
  let most = 0;
  for (const [from] of admissions) {
    let inside = 0;
    for (const [asked, answered] of byEnd) {
      if (asked < from) continue;
      const bound = certainBound(plan.algorithm, plan, from, answered);
      if (bound === undefined) break;
      inside++;
      most = Math.max(most, inside / bound);
    }
  }
  return most;
}

/** The most that may be admitted between two times; undefined when that is not bounded. Redis counts whole milliseconds. */
function certainBound(
  algorithm: LimitAlgorithm,
  { limit, windowMs, burst }: LimitPlan,
  from: number,
  to: number,
): number | undefined {
  switch (algorithm) {
    case 'SlidingWindow':
      return to - from < windowMs - 1 ? limit : undefined;
    case 'TokenBucket':
      return burst + (limit * (to - from + 1)) / windowMs;
    case 'FixedWindow':
      return Math.floor(from / windowMs) === Math.floor(to / windowMs) ? limit : undefined;
  }
}

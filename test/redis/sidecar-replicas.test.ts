import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LimitConfig, LimitsBundle } from '../../policy/bundle/types.ts';
import { certainShareOfBound, shareOfLimit } from './admitted-bound.ts';
import { type Answer, closeClient, type From, getCounted, undisturbed } from './limited-client.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const REPLICAS = 4;
const WINDOW_MS = 500;
const LIMIT = 100;
const STEADY_WINDOWS = 3;
/** Twice the limit. */
const STEADY_PAUSE_MS = WINDOW_MS / (2 * LIMIT);

const base = { match: { hosts: [], paths: [], methods: [] }, key: ['ip'], onStoreFailure: 'Deny' } as const;
const same = (limit: number, windowMs: number) => ({
  anonymous: { limit, windowMs },
  authenticated: { limit, windowMs },
});
const short: readonly LimitConfig[] = (['SlidingWindow', 'TokenBucket', 'FixedWindow'] as const).map((algorithm) => ({
  ...base,
  name: algorithm,
  match: { ...base.match, paths: [`/${algorithm}`] },
  algorithm,
  burst: algorithm === 'TokenBucket' ? 10 : 0,
  rates: same(LIMIT, WINDOW_MS),
}));
const minute: LimitConfig = {
  ...base,
  name: 'minute',
  match: { ...base.match, paths: ['/minute'] },
  algorithm: 'SlidingWindow',
  burst: 0,
  rates: same(40, 60_000),
};

describe('four sidecar processes on one Redis', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  const processes: ChildProcess[] = [];
  const ports: number[] = [];
  let turn = 0;

  before(async () => {
    redis = await RedisServer.start();
    const limits: Partial<LimitsBundle> = {
      store: { redisUrl: redis.url },
      clientIp: { trustedHops: 1, trustedProxies: [] },
      limits: [minute, ...short],
    };
    const starting = Array.from({ length: REPLICAS }, async () => {
      const child = fork(join(import.meta.dirname, 'limited-sidecar-process.ts'));
      processes.push(child);
      child.send(limits);
      const [port] = await once(child, 'message');
      ports.push(port as number);
    });
    await Promise.all(starting);
  });
  after(async () => {
    closeClient();
    await Promise.all(
      processes.map(async (child) => {
        const exited = once(child, 'exit');
        child.disconnect();
        await exited;
      }),
    );
    await redis.remove();
  });

  const ask = (path: string, from: From): Promise<Answer> => getCounted(ports[turn++ % REPLICAS]!, path, from);
  const admissionsOf = (answers: readonly Answer[]) =>
    answers.filter(({ status }) => status === 200).map(({ time }) => time);

  it('admit a limit once between them, and tell the client so', async () => {
    await undisturbed(async (attempt) => {
      const from = { address: `10.0.0.${attempt}` };
      const answers = await Promise.all(Array.from({ length: 160 }, () => ask('/minute', from)));
      const denied = answers.filter(({ status }) => status === 429);
      assert.equal(answers.length - denied.length, 40);
      assert.equal(admissionsOf(answers).length, 40);
      for (const { headers, code } of denied) {
        assert.equal(code, 'rate_limited');
        assert.equal(headers['ratelimit-policy'], '"minute";q=40;w=60');
        assert.match(String(headers['ratelimit']), /^"minute";r=0;t=(5\d|60)$/);
        assert.match(String(headers['retry-after']), /^(5\d|60)$/);
      }
      const left = answers
        .filter(({ status }) => status === 200)
        .map(({ headers }) => Number(/r=(\d+)/.exec(String(headers['ratelimit']))?.[1]));
      assert.deepEqual(
        left.toSorted((one, other) => one - other),
        Array.from({ length: 40 }, (_, i) => i),
      );
      const other = await ask('/minute', { address: `10.0.1.${attempt}` });
      assert.equal(other.status, 200, 'another address has a limit of its own');
    });
  });

  for (const { name, algorithm, burst } of short) {
    const plan = { name, algorithm, limit: LIMIT, windowMs: WINDOW_MS, burst, onStoreFailure: 'Deny' } as const;

    it(`${algorithm}: bursts on both sides of a boundary never exceed the bound`, async () => {
      await undisturbed(async (attempt) => {
        const from = { address: `10.1.0.${attempt}` };
        const answers: Promise<Answer>[] = [];
        const start = Math.ceil(Date.now() / WINDOW_MS + 0.2) * WINDOW_MS;
        for (let boundary = 1; boundary <= 2; boundary++) {
          for (const offset of [-30, -15, -2, 1, 15]) {
            await sleep(Math.max(0, start + boundary * WINDOW_MS + offset - Date.now()));
            for (let i = 0; i < LIMIT / 2; i++) answers.push(ask(`/${algorithm}`, from));
            await Promise.allSettled(answers.slice(-LIMIT / 2));
          }
        }
        const admissions = admissionsOf(await Promise.all(answers));
        const share = certainShareOfBound(plan, admissions);
        console.log(
          `${algorithm}, bursts: ${admissions.length} of ${answers.length} admitted, admitted / bound ${share.toFixed(3)}`,
        );
        assert.ok(share <= 1);
        assert.ok(
          admissions.length >= (burst || LIMIT),
          'the bursts must reach the limit for the check to mean something',
        );
      });
    });

    it(`${algorithm}: a steady load above the limit uses at least 95 % of it`, async () => {
      await undisturbed(async (attempt) => {
        const from = { address: `10.2.0.${attempt}` };
        const answers: Promise<Answer>[] = [];
        const end = Date.now() + (STEADY_WINDOWS + 1.1) * WINDOW_MS;
        while (Date.now() < end) {
          const answer = ask(`/${algorithm}`, from);
          answer.catch(() => {});
          answers.push(answer);
          await sleep(STEADY_PAUSE_MS);
        }
        const admissions = admissionsOf(await Promise.all(answers));
        const share = certainShareOfBound(plan, admissions);
        const used = shareOfLimit(plan, admissions);
        console.log(
          `${algorithm}, steady: ${(100 * used).toFixed(1)} % of the limit used, admitted / bound ${share.toFixed(3)}`,
        );
        assert.ok(share <= 1);
        assert.ok(used >= 0.95);
      });
    });
  }
});

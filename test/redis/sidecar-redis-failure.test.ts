import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { LimitConfig, LimitsBundle, OnStoreFailure } from '../../policy/bundle/types.ts';
import { type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';
import type { AdmissionTime } from './admitted-bound.ts';
import { type Answer, closeClient, get } from './limited-client.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const PASSWORD = 'never-to-be-seen';
const SIDECARS = 2;
const LIMIT = 10;
const WINDOW_MS = 500;
const OUTAGE_MS = 2500;
/** A call adds 20 ms at most; a busy machine adds what it likes, but less than a request that waited for Redis to come back. */
const NEVER_SLOWER_MS = 1500;
const DEADLINE_MS = 20_000;
const CLIENT = '10.0.0.1';

const behaviours: readonly OnStoreFailure[] = ['LocalShare', 'Allow', 'Deny'];
const limitOf = (name: string, limit: number, windowMs: number, onStoreFailure: OnStoreFailure): LimitConfig => ({
  name,
  match: { hosts: [], paths: [`/${name}`], methods: [] },
  key: ['ip'],
  algorithm: 'SlidingWindow',
  burst: 0,
  rates: { anonymous: { limit, windowMs }, authenticated: { limit, windowMs } },
  onStoreFailure,
});
const limits = [
  ...behaviours.map((behaviour) => limitOf(behaviour, LIMIT, WINDOW_MS, behaviour)),
  limitOf('long', LIMIT, 3_600_000, 'Allow'),
];

/** Which limit an answer is about, and from which sidecar it came. */
interface Seen {
  readonly behaviour: OnStoreFailure;
  readonly sidecar: number;
  readonly answer: Answer;
}

describe('sidecars whose Redis fails under load', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  const sidecars: SidecarUnderTest[] = [];

  before(async () => {
    redis = await RedisServer.start(PASSWORD);
    const policy: Partial<LimitsBundle> = {
      store: { redisUrl: redis.url },
      clientIp: { trustedHops: 1, trustedProxies: [] },
      limits,
    };
    for (let i = 0; i < SIDECARS; i++) sidecars.push(await startSidecarUnderTest({ limits: policy }));
    await until('both sidecars count each other', async () => (await sharedAdmissions()) === LIMIT);
  });
  after(async () => {
    closeClient();
    for (const sidecar of sidecars) await sidecar.stop();
    await redis.remove();
  });

  const failures: readonly (readonly [what: string, fail: () => Promise<void>, recover: () => Promise<void>])[] = [
    ['is stopped', () => redis.stop('SIGTERM'), () => redis.start()],
    ['is killed', () => redis.stop('SIGKILL'), () => redis.start()],
    ['hangs', async () => redis.pause(), async () => redis.resume()],
  ];
  for (const [what, fail, recover] of failures) {
    it(`Redis ${what}: every limit does what it declares, no request waits, and all is as before afterwards`, async () => {
      const seen: Seen[] = [];
      const load = { running: true };
      const clients = sidecars.flatMap((_, sidecar) =>
        behaviours.map(async (behaviour) => {
          while (load.running) {
            seen.push({ behaviour, sidecar, answer: await get(portOf(sidecar), `/${behaviour}`, { address: CLIENT }) });
            await sleep(5);
          }
        }),
      );
      const loads = Promise.all(clients);
      loads.catch(() => {});
      await until('each sidecar knows of the other', () => allBeatTogether(redis.url));
      const logged = sidecars.map((sidecar) => sidecar.log().length);

      const failedAt = Date.now();
      await fail();
      const withoutTimeout = waitOfPlainClient(redis.url);
      await until('both say so in their metrics', async () => (await degraded()).every((value) => value === 1));
      const noticedAt = Date.now();
      await sleep(Math.max(0, failedAt + OUTAGE_MS - Date.now()));
      const recoveredAt = Date.now();
      await recover();
      await until('both say so in their metrics', async () => (await degraded()).every((value) => value === 0));
      await until('Deny admits again', () =>
        seen.slice(-20).some(({ behaviour, answer }) => behaviour === 'Deny' && answer.status === 200),
      );
      await until('one limit for both again', async () => (await sharedAdmissions()) === LIMIT);
      load.running = false;
      await loads;

      // Until then a sidecar may hold to what Redis denied before.
      const decidedAlone = noticedAt + WINDOW_MS;
      const during = seen.filter(({ answer: { time } }) => time[0] > decidedAlone && time[1] < recoveredAt);
      const of = (behaviour: OnStoreFailure): readonly Seen[] => during.filter((one) => one.behaviour === behaviour);
      const outcomes = (behaviour: OnStoreFailure): readonly string[] =>
        [...new Set(of(behaviour).map(({ answer }) => `${answer.status} ${answer.code}`))].toSorted();
      assert.deepEqual(outcomes('Allow'), ['200 ']);
      assert.deepEqual(outcomes('Deny'), ['503 store_unavailable']);
      assert.deepEqual(outcomes('LocalShare'), ['200 ', '429 rate_limited']);
      for (let sidecar = 0; sidecar < SIDECARS; sidecar++) {
        const admitted = of('LocalShare').filter((one) => one.sidecar === sidecar && one.answer.status === 200);
        const most = mostInAWindow(admitted.map(({ answer }) => answer.time));
        assert.equal(most, LIMIT / SIDECARS, 'the share of one of two');
      }

      sidecars.forEach((sidecar, index) => {
        const lines = sidecar.log().slice(logged[index]);
        assert.ok(lines.some((line) => line.includes('store does not answer')));
        assert.ok(lines.some((line) => line.includes('store answers')));
        assert.ok(!sidecar.log().some((line) => line.includes(PASSWORD)));
      });
      const slowest = Math.max(...seen.map(({ answer: { time } }) => time[1] - time[0]));
      console.log(
        `Redis ${what} for ${OUTAGE_MS} ms: ${seen.length} requests, the slowest ${slowest.toFixed(0)} ms; ` +
          `a client without time-out waited ${(await withoutTimeout).toFixed(0)} ms`,
      );
      assert.ok(slowest < NEVER_SLOWER_MS);
    });
  }

  const portOf = (sidecar: number): number => sidecars[sidecar]!.port;
  const degraded = (): Promise<readonly number[]> =>
    Promise.all(
      sidecars.map(async ({ adminPort }) => {
        const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
        return Number(/^portcullis_store_degraded (\d)$/m.exec(text)?.[1]);
      }),
    );

  let strangers = 0;
  /** How many of 2 x LIMIT requests of a new client the sidecars admit in turns; LIMIT when they count together. */
  const sharedAdmissions = async (): Promise<number> => {
    const address = `10.9.${strangers >> 8}.${strangers++ & 255}`;
    let admitted = 0;
    for (let i = 0; i < 2 * LIMIT; i++) {
      if ((await get(portOf(i % SIDECARS), '/long', { address })).status === 200) admitted++;
    }
    return admitted;
  };
});

/** Most admissions that certainly fell into one window. */
function mostInAWindow(admissions: readonly AdmissionTime[]): number {
  return Math.max(
    0,
    ...admissions.map(
      ([from]) => admissions.filter(([asked, answered]) => asked >= from && answered - from < WINDOW_MS - 1).length,
    ),
  );
}

/** Milliseconds that a client with ioredis's own settings waits for an answer or an error. */
async function waitOfPlainClient(url: string): Promise<number> {
  const client = new Redis(url);
  client.on('error', () => {});
  const from = performance.now();
  await client.get('anything').catch(() => {});
  client.disconnect();
  return performance.now() - from;
}

/** Whether every sidecar has announced itself since all of them had: from then on it divides its share by all of them. */
async function allBeatTogether(url: string): Promise<boolean> {
  const client = new Redis(url);
  try {
    const scores = async (): Promise<readonly number[]> => {
      const replies = await client.zrange('portcullis:{test/limits}:replicas', 0, '-1', 'WITHSCORES');
      return replies.filter((_, index) => index % 2 === 1).map(Number);
    };
    const first = await scores();
    if (first.length !== SIDECARS) return false;
    await until('all announce themselves again', async () => Math.min(...(await scores())) > Math.max(...first));
    return true;
  } finally {
    client.disconnect();
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await sleep(10)) if (await condition()) return;
  assert.fail(`never: ${what}`);
}

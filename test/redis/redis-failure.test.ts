import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OnStoreFailure } from '../../policy/bundle/types.ts';
import type { Admission, Demand, LimitPlan } from '../../sidecar/stores/limiter-store.ts';
import { RedisStore, type RedisStoreOptions } from '../../sidecar/stores/redis-store.ts';
import { until, withAdmin } from './redis-clients.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const PASSWORD = 'never-to-be-seen';
/** A call adds 20 ms at most; a busy machine adds what it likes, but nothing may hang. */
const NEVER_SLOWER_MS = 2000;
const FAST = { timeoutMs: 20 };
/** Where the time-out is not the point a busy machine must not trigger it. */
const PATIENT = { timeoutMs: 2000 };

describe('a Redis that fails', { skip: redisMissing() }, () => {
  let server: RedisServer;
  let changes: string[];
  const stores: RedisStore[] = [];

  before(async () => {
    server = await RedisServer.start(PASSWORD);
  });
  beforeEach(() => {
    changes = [];
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await server.stop('SIGKILL');
    await server.start();
  });
  after(() => server.remove());

  const open = async (options: Partial<RedisStoreOptions> = {}): Promise<RedisStore> => {
    const store = new RedisStore({
      redisUrl: server.url,
      group: 'ns/policy',
      replica: `pod-${stores.length}`,
      onStateChange: (available, cause) => changes.push(`${available}: ${cause}`),
      ...PATIENT,
      ...options,
    });
    stores.push(store);
    if (options.redisUrl === undefined) await until(() => store.available);
    return store;
  };

  const failures: readonly (readonly [
    string,
    (server: RedisServer) => Promise<void>,
    (server: RedisServer) => Promise<void>,
  ])[] = [
    ['is stopped', (redis) => redis.stop('SIGTERM'), (redis) => redis.start()],
    ['is killed', (redis) => redis.stop('SIGKILL'), (redis) => redis.start()],
    ['hangs', async (redis) => redis.pause(), async (redis) => redis.resume()],
  ];
  const declared: Readonly<Record<OnStoreFailure, (admitted: number, asked: number) => boolean>> = {
    LocalShare: (admitted) => admitted === 3,
    Allow: (admitted, asked) => admitted === asked,
    Deny: (admitted) => admitted === 0,
  };

  for (const [what, fail, recover] of failures) {
    it(`${what} under load: each limit does what it declares, no request waits, and it comes back`, async () => {
      const store = await open(FAST);
      let slowestMs = 0;
      let asked = 0;
      const load = { running: true, admitted: new Map<string, number>(), asked: new Map<string, number>() };
      const one = async (onStoreFailure: OnStoreFailure): Promise<void> => {
        const from = performance.now();
        const { admitted, degraded } = await store.consume([demand({ limit: 3, onStoreFailure }, 'load')], Date.now());
        slowestMs = Math.max(slowestMs, performance.now() - from);
        asked++;
        if (!degraded) return;
        count(load.asked, onStoreFailure, 1);
        count(load.admitted, onStoreFailure, admitted ? 1 : 0);
      };
      const loop = (async () => {
        while (load.running) {
          await Promise.all([one('LocalShare'), one('Allow'), one('Deny')]);
          await sleep(1);
        }
      })();

      await sleep(100);
      await fail(server);
      await until(() => !store.available);
      await until(() => [...load.asked.values()].every((number) => number > 20) && load.asked.size === 3);
      const admitted = new Map(load.admitted);
      const during = new Map(load.asked);
      await recover(server);
      await until(() => store.available);
      load.running = false;
      await loop;

      for (const [onStoreFailure, asDeclared] of Object.entries(declared)) {
        const [passed, of] = [admitted.get(onStoreFailure) ?? 0, during.get(onStoreFailure) ?? 0];
        assert.ok(asDeclared(passed, of), `${onStoreFailure}: admitted ${passed} of ${of}`);
      }
      console.log(`Redis ${what}: ${asked} requests, the slowest ${slowestMs.toFixed(1)} ms; ${changes.join('; ')}`);
      assert.ok(slowestMs < NEVER_SLOWER_MS);
      assert.match(changes.join('; '), /^true: answers; false: .*; true: answers[^;]*$/);
      const fresh = await until(
        async () => await store.consume([demand({ onStoreFailure: 'Allow' }, 'after')], Date.now()),
      );
      assert.equal(fresh.degraded, false);
    });
  }

  it('divides the limit by the replicas last seen for LocalShare, at least 1', async () => {
    const all = [await open(), await open(), await open(), await open()];
    await until(() => all.every((store) => store.replicas === 4));
    await server.stop('SIGKILL');
    await until(() => all.every((store) => !store.available));
    const spend = async (limit: number): Promise<number> => {
      let admitted = 0;
      for (const store of all) {
        while ((await store.consume([demand({ limit, name: `of-${limit}` }, `of-${limit}`)], Date.now())).admitted)
          admitted++;
      }
      return admitted;
    };
    assert.equal(await spend(8), 8);
    assert.equal(await spend(11), 8);
    assert.equal(await spend(2), 4);
  });

  it('keeps to onStoreFailure for one window after the counters were lost', async () => {
    const store = await open();
    const strict = demand({ onStoreFailure: 'Deny', windowMs: 1000 }, 'strict');
    const lax = demand({ onStoreFailure: 'Allow', windowMs: 1000 }, 'lax');
    assert.equal((await store.consume([strict], Date.now())).admitted, true);
    await withAdmin(server, (admin) => admin.flushall());
    const flushedAt = Date.now();
    const after = await store.consume([strict], flushedAt);
    assert.deepEqual([after.admitted, after.degraded], [false, true]);
    await until(() => store.available);
    assert.deepEqual(changes, ['true: answers', 'false: counters lost', 'true: answers again, counters lost']);
    assert.equal((await store.consume([strict], flushedAt + 1)).admitted, false);
    assert.equal((await store.consume([lax], flushedAt + 1)).degraded, false);
    assert.equal((await store.consume([strict], flushedAt + 2000)).admitted, true);
  });

  it('loads its script again when Redis forgot it, counting the request once', async () => {
    const store = await open();
    assert.equal((await store.consume([demand({}, 'forgotten')], Date.now())).quotas[0]?.remaining, 9);
    await withAdmin(server, (admin) => admin.script('FLUSH'));
    const admission = await store.consume([demand({}, 'forgotten')], Date.now());
    assert.equal(admission.degraded, false);
    assert.equal(admission.quotas[0]?.remaining, 8);
  });

  it('asks once a request, and not at all for a counter that denied', async () => {
    const store = await open();
    const limits = [demand({ limit: 2 }, 'one'), demand({ limit: 5 }, 'two')];
    await store.consume(limits, Date.now());
    const { calls, admissions } = await withAdmin(server, async (admin) => {
      await admin.config('RESETSTAT');
      const admissions: Admission[] = [];
      for (let i = 0; i < 10; i++) admissions.push(await store.consume(limits, Date.now()));
      const calls = /cmdstat_evalsha:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1];
      return { calls, admissions };
    });
    assert.equal(calls, '2');
    assert.deepEqual(
      admissions.map(({ admitted }) => admitted),
      [true, ...new Array(9).fill(false)],
    );
    const last = admissions.at(-1)!;
    assert.ok(last.quotas[0]!.retryAfterMs > 0);
    assert.equal(last.quotas[1]!.retryAfterMs, 0);
  });

  it('gives every key one hash tag and a time to live', async () => {
    const store = await open();
    for (const algorithm of ['SlidingWindow', 'TokenBucket', 'FixedWindow'] as const) {
      await store.consume([demand({ algorithm, burst: 10 }, `{${algorithm}}`)], Date.now());
    }
    await withAdmin(server, async (admin) => {
      const keys = await admin.keys('*');
      assert.equal(keys.length, 5);
      for (const key of keys) {
        assert.equal(/\{(.*?)\}/.exec(key)?.[1], 'ns/policy');
        assert.ok((await admin.pttl(key)) > 0, key);
      }
    });
  });

  it('never rejects nor hangs on a server that accepts and says nothing', async () => {
    const silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    assert.ok(address !== null && typeof address === 'object');
    const sockets = new Set<{ destroy(): void }>();
    silent.on('connection', (socket) => sockets.add(socket));
    const store = await open({ ...FAST, redisUrl: `redis://127.0.0.1:${address.port}` });
    const admission = await store.consume([demand({ onStoreFailure: 'Allow' }, 'silent')], Date.now());
    assert.deepEqual([admission.admitted, admission.degraded], [true, true]);
    await until(() => sockets.size > 1);
    await store.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it('says a wrong password by its code alone', async () => {
    const wrong = 'a-wrong-password';
    const store = await open({ redisUrl: `redis://:${wrong}@127.0.0.1:${server.port}` });
    await until(() => changes.length > 0);
    assert.deepEqual(changes, ['false: WRONGPASS']);
    assert.equal(store.available, false);
    assert.ok(!JSON.stringify(changes).includes(wrong));
  });

  it('closes at once while Redis hangs, and answers by onStoreFailure afterwards', async () => {
    const store = await open(FAST);
    server.pause();
    await store.close();
    assert.equal(store.available, false);
    assert.equal((await store.consume([demand({ onStoreFailure: 'Deny' }, 'closed')], Date.now())).degraded, true);
  });
});

function demand(plan: Partial<LimitPlan>, key: string): Demand {
  return {
    plan: {
      name: 'limit',
      algorithm: 'SlidingWindow',
      limit: 10,
      windowMs: 60_000,
      burst: 0,
      onStoreFailure: 'LocalShare',
      ...plan,
    },
    key: `${key}|${plan.onStoreFailure ?? 'LocalShare'}`,
  };
}

function count(counts: Map<string, number>, of: string, by: number): void {
  counts.set(of, (counts.get(of) ?? 0) + by);
}

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection } from '../../sidecar/stores/redis-connection.ts';
import { RedisRevocations, type RedisRevocationsOptions } from '../../sidecar/stores/revocations-redis.ts';
import { connectionTo, until, withAdmin } from './redis-clients.ts';
import { RedisServer, redisMissing } from './redis-server.ts';
import { revocationSuite } from './revocation-suite.ts';

const PATIENT_MS = 10_000;
const HOUR_MS = 3_600_000;

describe('revocations in Redis', { skip: redisMissing() }, () => {
  let server: RedisServer;
  const connections: RedisConnection[] = [];
  const stores: RedisRevocations[] = [];
  let groups = 0;
  let group = '';
  const now = Date.now();
  const end = now + HOUR_MS;

  before(async () => {
    server = await RedisServer.start();
  });
  beforeEach(() => {
    group = `auth/set-${groups++}`;
  });
  afterEach(closeAll);
  after(() => server.remove());

  async function closeAll(): Promise<void> {
    for (const store of stores.splice(0)) store.close();
    await Promise.all(connections.splice(0).map((connection) => connection.close()));
  }

  /** A store of a replica of its own, once it knows what is revoked. */
  async function open(
    options: Partial<RedisRevocationsOptions> = {},
    timeoutMs = PATIENT_MS,
  ): Promise<RedisRevocations> {
    const replica = `pod-${stores.length}`;
    let store: RedisRevocations | undefined;
    const connection = connectionTo(server, replica, timeoutMs, (available) => available && store?.suspect());
    connections.push(connection);
    await connection.opened;
    store = new RedisRevocations({
      connection,
      group,
      replica,
      maxStalenessMs: PATIENT_MS,
      now: Date.now,
      ...options,
    });
    stores.push(store);
    await store.refresh();
    return store;
  }

  revocationSuite('two replicas on one Redis', async () => ({
    store: await open(),
    replica: await open(),
    close: closeAll,
  }));

  it('a token revoked on one replica is refused on another within maxStaleness, unasked', async () => {
    const maxStalenessMs = 1000;
    const [one, other] = [await open({ maxStalenessMs }), await open({ maxStalenessMs })];
    for (let i = 0; i < 5; i++) {
      await one.revokeToken(`jti ${i}`, end, now);
      const revokedAt = performance.now();
      await until(() => other.check(`jti ${i}`, null, now) !== 'ok');
      const elapsed = performance.now() - revokedAt;
      assert.equal(other.check(`jti ${i}`, null, now), 'revoked');
      assert.ok(elapsed <= maxStalenessMs, `after ${elapsed} ms`);
    }
  });

  it('knows at its start what was revoked before, in pages', async () => {
    const first = await open();
    await Promise.all(Array.from({ length: 1200 }, (_, i) => first.revokeToken(`jti ${i}`, end, now)));
    const second = await open();
    assert.equal(second.size, 1200);
    for (let i = 0; i < 1200; i++) assert.equal(second.check(`jti ${i}`, null, now), 'revoked');
  });

  it('asks only for what is new', async () => {
    const [one, other] = [await open(), await open()];
    await one.revokeToken('a', end, now);
    await other.refresh();
    await withAdmin(server, async (admin) => {
      // Behind the replica's back, without a number of its own: seen only by whoever asks from the beginning.
      await admin.zadd(`portcullis:{${group}}:revoked:by-number`, 0, JSON.stringify(['old', end, null]));
    });
    await one.revokeToken('b', end, now);
    await other.refresh();
    assert.deepEqual([other.check('b', null, now), other.check('old', null, now)], ['revoked', 'ok']);
  });

  it('before it was told anything knows nothing', async () => {
    const connection = connectionTo(server, 'pod-new');
    connections.push(connection);
    const store = new RedisRevocations({
      connection,
      group,
      replica: 'pod-new',
      maxStalenessMs: PATIENT_MS,
      now: Date.now,
    });
    stores.push(store);
    assert.equal(store.check('a', null, now), 'unknown');
    await until(async () => {
      await store.refresh();
      return store.check('a', null, now) === 'ok';
    });
  });

  it('a flush un-revokes nothing: who still knows writes it back, and a replica that starts then learns it', async () => {
    const one = await open();
    await one.revokeToken('a', end, now);
    await one.revokeSubject('ann', now, end, now);
    await withAdmin(server, (admin) => admin.flushall());
    await one.refresh();
    const late = await open();
    assert.deepEqual([late.check('a', null, now), late.check(null, 'ann', now - 1)], ['revoked', 'revoked']);
    assert.deepEqual([late.check('b', null, now), late.check(null, 'ann', now)], ['ok', 'ok']);
  });

  it('a failover to a server that missed the last writes un-revokes nothing', async () => {
    const one = await open();
    await one.revokeToken('kept', end, now);
    await one.revokeToken('lost', end, now);
    await withAdmin(server, async (admin) => {
      const prefix = `portcullis:{${group}}:revoked:`;
      const member = JSON.stringify(['lost', end, null]);
      await admin.zrem(`${prefix}by-number`, member);
      await admin.zrem(`${prefix}by-end`, member);
      await admin.hincrby(`${prefix}meta`, 'number', -1);
    });
    await one.refresh();
    assert.equal((await open()).check('lost', null, now), 'revoked');
  });

  it('what was revoked while Redis was away counts here at once, and everywhere once it is back', async () => {
    const one = await open({}, 200);
    await server.stop('SIGKILL');
    assert.equal(await one.revokeToken('a', end, now), false);
    assert.equal(one.check('a', null, now), 'revoked');
    await server.start();
    await until(() => connections[0]?.state === 'available');
    await one.refresh();
    assert.equal((await open()).check('a', null, now), 'revoked');
  });

  it('while Redis is away what is not known to be revoked is unknown after maxStaleness, and ok again afterwards', async () => {
    const maxStalenessMs = 400;
    const one = await open({ maxStalenessMs }, 100);
    await one.revokeToken('a', end, now);
    await until(() => one.check('b', null, now) === 'ok');
    server.pause();
    await until(() => one.check('b', null, now) === 'unknown');
    assert.equal(one.check('a', null, now), 'revoked');
    server.resume();
    await until(() => one.check('b', null, now) === 'ok');
  });

  it('a replica whose view is full says unknown, and ok again once there is room', async () => {
    const one = await open();
    for (const jti of ['short 1', 'short 2']) await one.revokeToken(jti, now + 30_000, now);
    await one.revokeToken('long', end, now);
    let clock = now;
    const small = await open({ maxEntries: 2, now: () => clock });
    const verdicts = () => ['short 1', 'long', 'other'].map((jti) => small.check(jti, null, now));
    assert.deepEqual(verdicts(), ['revoked', 'unknown', 'unknown']);
    clock = now + 60_000;
    await small.refresh();
    assert.deepEqual(verdicts(), ['ok', 'revoked', 'ok']);
  });

  it('keeps key sets apart, and each key has one hash tag and a time to live', async () => {
    const [one, other] = [await open(), await open({ group: `${group}-other` })];
    await one.revokeToken('a', end, now);
    await other.refresh();
    assert.equal(other.check('a', null, now), 'ok');
    await withAdmin(server, async (admin) => {
      const keys = await admin.keys(`portcullis:{${group}}*`);
      assert.equal(keys.length, 3);
      for (const key of keys) assert.ok((await admin.pttl(key)) > 0, key);
    });
  });

  it('drops from Redis what ended more than an hour ago', async () => {
    const one = await open();
    await one.revokeToken('old', now - 2 * HOUR_MS, now - 3 * HOUR_MS);
    await one.revokeToken('new', end, now);
    await withAdmin(server, async (admin) => {
      assert.equal(await admin.zcard(`portcullis:{${group}}:revoked:by-number`), 1);
      assert.equal(await admin.zcard(`portcullis:{${group}}:revoked:by-end`), 1);
    });
  });

  it('knows nothing, rather than a part, of what none of us wrote', async () => {
    const one = await open({ maxStalenessMs: 200 });
    await one.revokeToken('a', end, now);
    await withAdmin(server, (admin) => admin.zadd(`portcullis:{${group}}:revoked:by-number`, 99, 'not JSON'));
    await until(() => one.check('b', null, now) === 'unknown');
    await sleep(300);
    assert.deepEqual([one.check('a', null, now), one.check('b', null, now)], ['revoked', 'unknown']);
  });
});

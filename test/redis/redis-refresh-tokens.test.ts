import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { RedisConnection } from '../../sidecar/stores/redis-connection.ts';
import type { RefreshTokenStore } from '../../sidecar/stores/refresh-tokens.ts';
import { RedisRefreshTokens } from '../../sidecar/stores/refresh-tokens-redis.ts';
import { connectionTo, until, withAdmin } from './redis-clients.ts';
import { RedisServer, redisMissing } from './redis-server.ts';
import { refreshTokenSuite } from './refresh-token-suite.ts';

const REPLICAS = 3;
const SESSION = { user: 'ann', claims: {}, credential: null, loggedInAt: 0 };

describe('refresh tokens in Redis', { skip: redisMissing() }, () => {
  let server: RedisServer;
  let connections: RedisConnection[];
  let stores: RedisRefreshTokens[];
  let turn = 0;

  before(async () => {
    server = await RedisServer.start();
    connections = Array.from({ length: REPLICAS }, (_, i) => connectionTo(server, `pod-${i}`));
    await Promise.all(connections.map(({ opened }) => opened));
    stores = connections.map(
      (connection) => new RedisRefreshTokens({ connection, group: 'ns/policy', clock: 'caller' }),
    );
  });
  after(async () => {
    await Promise.all(connections.map((connection) => connection.close()));
    await server.remove();
  });

  const anyReplica = (): RefreshTokenStore => stores[turn++ % REPLICAS]!;
  refreshTokenSuite('refresh tokens in Redis, 3 replicas', { store: anyReplica, runs: 60 });

  const byServerClock = (group: string) => new RedisRefreshTokens({ connection: connections[0]!, group });
  const rotate = (store: RefreshTokenStore, graceMs: number) =>
    store.rotate('f', 'hash', { salt: 's', hash: 'next' }, graceMs, 0);

  it("counts by Redis's clock", async () => {
    const store = byServerClock('ns/clock');
    await store.begin('f', 'hash', SESSION, 60_000, 0);
    const first = await rotate(store, 60_000);
    assert.ok(first.kind === 'Rotated' && first.expiresInMs > 0 && first.expiresInMs <= 60_000);
    assert.equal((await rotate(store, 60_000)).kind, 'Rotated');
    assert.equal((await rotate(store, 0)).kind, 'Reused');
  });

  it('keeps families of another policy apart', async () => {
    await byServerClock('ns/one').begin('f', 'hash', SESSION, 60_000, 0);
    assert.equal((await rotate(byServerClock('ns/two'), 1000)).kind, 'Unknown');
    assert.equal((await rotate(byServerClock('ns/one'), 1000)).kind, 'Rotated');
  });

  it('stores hashes only, under one hash tag, with a time to live that rotation keeps', async () => {
    const store = byServerClock('ns/keys');
    await store.begin('f', 'hash', SESSION, 60_000, 0);
    await rotate(store, 1000);
    await withAdmin(server, async (admin) => {
      const key = 'portcullis:{ns/keys}:refresh:f';
      const ends = 'portcullis:{ns/keys}:refresh-ends';
      assert.deepEqual((await admin.keys('portcullis:{ns/keys}*')).sort(), [ends, key]);
      for (const each of [key, ends]) {
        const ttl = await admin.pttl(each);
        assert.ok(ttl > 0 && ttl <= 60_000, each);
      }
      assert.deepEqual(await admin.zrange(ends, '0', '-1'), ['f']);
      assert.deepEqual(Object.keys(await admin.hgetall(key)).sort(), ['expiresAt', 'links', 'live', 'session']);
    });
  });

  it('takes what is no session of ours for no family', async () => {
    const store = byServerClock('ns/foreign');
    await store.begin('f', 'hash', SESSION, 60_000, 0);
    await withAdmin(server, (admin) => admin.hset('portcullis:{ns/foreign}:refresh:f', 'session', 'not JSON'));
    assert.equal((await rotate(store, 1000)).kind, 'Unknown');
  });

  it('waits for a Redis that is slow for a moment: a log-in is worth it', async () => {
    const connection = connectionTo(server, 'pod-slow', 20);
    await connection.opened;
    const store = new RedisRefreshTokens({ connection, group: 'ns/slow' });
    server.pause();
    const begun = store.begin('f', 'hash', SESSION, 60_000, 0);
    await until(() => connection.state === 'unavailable');
    server.resume();
    assert.equal(await begun, true);
    assert.equal((await rotate(store, 60_000)).kind, 'Rotated');
    await connection.close();
  });

  it('says Unavailable while Redis is away, and loses no family that Redis kept', async () => {
    const connection = connectionTo(server, 'pod-fast', 200);
    await connection.opened;
    const store = new RedisRefreshTokens({ connection, group: 'ns/away' });
    await store.begin('f', 'hash', SESSION, 60_000, 0);
    server.pause();
    assert.equal((await rotate(store, 60_000)).kind, 'Unavailable');
    assert.equal(await store.begin('g', 'hash', SESSION, 60_000, 0), false);
    assert.equal(await store.revoke('f'), false);
    server.resume();
    await until(() => connection.state === 'available');
    // The first call may have reached Redis after all: then this is the retry within the grace.
    assert.equal((await rotate(store, 60_000)).kind, 'Rotated');
    await connection.close();
  });
});

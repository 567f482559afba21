import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { RedisConnection } from '../../sidecar/stores/redis-connection.ts';
import { RedisWebSocketSessions } from '../../sidecar/stores/websocket-sessions-redis.ts';
import { connectionTo, until, withAdmin } from './redis-clients.ts';
import { RedisServer, redisMissing } from './redis-server.ts';
import { websocketSessionSuite } from './websocket-session-suite.ts';

const REPLICAS = 3;

describe('WebSockets in Redis', { skip: redisMissing(), timeout: 60_000 }, () => {
  let server: RedisServer;
  let connections: RedisConnection[];
  let replicas: RedisWebSocketSessions[];
  let turn = 0;
  before(async () => {
    server = await RedisServer.start();
    connections = Array.from({ length: REPLICAS }, (_, i) => connectionTo(server, `pod-${i}`, 500));
    await Promise.all(connections.map(({ opened }) => opened));
    replicas = connections.map((connection, i) => open(connection, 'ns/policy', `pod-${i}`));
  });
  after(async () => {
    for (const replica of replicas) replica.close();
    await Promise.all(connections.map((connection) => connection.close()));
    await server.remove();
  });

  function open(
    connection: RedisConnection,
    group: string,
    replica: string,
    refreshMs = 10_000,
  ): RedisWebSocketSessions {
    return new RedisWebSocketSessions({ connection, group, replica, refreshMs });
  }

  websocketSessionSuite('WebSockets in Redis, 3 replicas', () => replicas[turn++ % REPLICAS] as RedisWebSocketSessions);

  it('a replica that is gone gives its places back after three refreshes, one that lives keeps them', async () => {
    const [dead, alive] = [
      open(connections[0]!, 'ns/crash', 'dead', 100),
      open(connections[1]!, 'ns/crash', 'alive', 100),
    ];
    for (let i = 0; i < 2; i++) await dead.open('user=ann', 4);
    for (let i = 0; i < 2; i++) await alive.open('user=ann', 4);
    assert.equal(await alive.open('user=ann', 4), null);
    dead.close(); // a crash gives nothing back by itself
    await until(async () => (await alive.open('user=ann', 4)) !== null);
    assert.notEqual(await alive.open('user=ann', 4), null);
    assert.equal(await alive.open('user=ann', 4), null, 'its own two were kept');
    alive.close();
  });

  it('what Redis lost is told to it again', async () => {
    const one = open(connections[0]!, 'ns/lost', 'one');
    for (let i = 0; i < 3; i++) await one.open('user=ann', 3);
    for (let i = 0; i < 600; i++) await one.open(`user=${i}`, 3);
    await withAdmin(server, (admin) => admin.flushall());
    await one.refresh();
    const other = open(connections[1]!, 'ns/lost', 'other');
    assert.equal(await other.open('user=ann', 3), null);
    await withAdmin(server, async (admin) => {
      assert.equal((await admin.keys('portcullis:{ns/lost}:websockets:*')).length, 601);
      const ttl = await admin.pttl('portcullis:{ns/lost}:websockets:user=599');
      assert.ok(ttl > 0 && ttl <= 30_000);
    });
    one.close();
    other.close();
  });

  it('while Redis is away each gives out its share, and counts what it gave', async () => {
    const connection = connectionTo(server, 'pod-fast', 200);
    await connection.opened;
    await until(() => connection.replicas === REPLICAS + 1);
    const sessions = open(connection, 'ns/away', 'pod-fast');
    assert.notEqual(await sessions.open('user=ann', 8), null);
    server.pause();
    try {
      assert.notEqual(await sessions.open('user=ann', 8), null, 'the second of a share of 2');
      assert.equal(await sessions.open('user=ann', 8), null);
      assert.notEqual(await sessions.open('user=bob', 3), null, 'a share is 1 at least');
      assert.equal(await sessions.open('user=bob', 3), null);
    } finally {
      server.resume();
    }
    await until(() => connection.state === 'available');
    await sessions.refresh();
    const other = open(connections[0]!, 'ns/away', 'other');
    const places = await Promise.all(Array.from({ length: 8 }, () => other.open('user=ann', 8)));
    // One call may have reached Redis although its answer did not reach us.
    assert.ok([5, 6].includes(places.filter((place) => place !== null).length));
    sessions.close();
    other.close();
    await connection.close();
  });
});

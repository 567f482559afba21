import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import { openStores, type Stores } from '../../sidecar/stores/open-stores.ts';
import { nonceSuite, nonceUse } from './nonce-suite.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

describe('nonces in Redis', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  let admin: Redis;
  let opened = 0;
  before(async () => {
    redis = await RedisServer.start();
    admin = new Redis(redis.url);
  });
  after(async () => {
    admin.disconnect();
    await redis.remove();
  });

  const open = (replica: string): Promise<Stores> =>
    openStores(
      { redisUrl: redis.url },
      { groups: { access: 'test/a', limits: 'test/a' }, replica, maxStalenessMs: 1_000, now: Date.now },
    );
  /** A store whose connection stands. */
  const nonces = async (secret: string) => {
    const stores = await open(`replica-${opened++}`);
    const store = stores.noncesOf(secret);
    const deadline = Date.now() + 5_000;
    for (let at = 0; (await store.use(nonceUse({ nonce: `first-${at}-${opened}` }), Date.now())) === 'unknown'; at++) {
      assert.ok(Date.now() < deadline, 'Redis does not answer');
    }
    return { store, close: () => stores.close() };
  };

  nonceSuite('as every store', () => nonces(`test/suite-${opened}`));

  it('replicas share them, and Secrets do not', async () => {
    const [one, two, other] = [await nonces('test/shared'), await nonces('test/shared'), await nonces('test/other')];
    assert.equal(await one.store.use(nonceUse(), Date.now()), 'new');
    assert.equal(await two.store.use(nonceUse(), Date.now()), 'used');
    assert.equal(await other.store.use(nonceUse(), Date.now()), 'new');
    await Promise.all([one, two, other].map(({ close }) => close()));
  });

  it('each has a key that ends by itself, in the hash slot of its group', async () => {
    const { store, close } = await nonces('test/ends');
    await store.use(nonceUse({ client: 'bot-9' }), Date.now());
    const key = `portcullis:{test/ends}:nonce:bot-9:${'a'.repeat(22)}`;
    const leftMs = await admin.pttl(key);
    assert.ok(leftMs > 60_000 && leftMs <= 70_000, `${leftMs} ms`);
    await close();
  });

  it('after a flush what may have been used before is unknown; what is certainly later is new', async () => {
    const { store, close } = await nonces('test/flushed');
    const before = nonceUse({ nonce: 'b'.repeat(22) });
    assert.equal(await store.use(before, Date.now()), 'new');
    await admin.flushall();
    assert.equal(await store.use(before, Date.now()), 'unknown');
    assert.equal(await store.use(before, Date.now()), 'used');
    const later = nonceUse({ nonce: 'c'.repeat(22), timestampMs: Date.now() + 45_000 });
    assert.equal(await store.use(later, Date.now()), 'new');
    await close();
  });

  it('a process that comes after a flush has let in nothing, and begins at once', async () => {
    await admin.flushall();
    const { store, close } = await nonces('test/begins');
    assert.equal(await store.use(nonceUse(), Date.now()), 'new');
    await close();
  });

  it('a Redis that is gone: unknown, and no wait', async () => {
    const { store, close } = await nonces('test/gone');
    await redis.stop('SIGKILL');
    assert.equal(await store.use(nonceUse({ nonce: 'd'.repeat(22) }), Date.now()), 'unknown');
    await close();
    await redis.start();
  });
});

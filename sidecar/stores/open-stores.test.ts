import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PortcullisError } from '../../policy/errors.ts';
import { MemoryStore } from './memory-store.ts';
import { openStores } from './open-stores.ts';
import { RedisStore } from './redis-store.ts';

const options = {
  groups: { access: 'ns/access', limits: 'ns/limits' },
  replica: 'pod-0',
  maxStalenessMs: 1000,
  now: () => 0,
};

describe('openStores', () => {
  it('without a store remembers in memory, one set of revocations an issuer', async () => {
    const stores = await openStores(null, options);
    assert.ok(stores.limiter instanceof MemoryStore);
    const trading = stores.revocationsOf('auth/trading');
    await trading.revokeToken('a', 1000, 0);
    assert.equal(stores.revocationsOf('auth/trading'), trading);
    assert.equal(stores.revocationsOf('auth/other').check('a', null, 0), 'ok');
    assert.equal(trading.check('a', null, 0), 'revoked');
    await stores.close();
  });

  for (const redisUrl of ['redis://127.0.0.1:1', 'rediss://127.0.0.1:1']) {
    it(`opens ${redisUrl}, and answers by onStoreFailure while nobody is there`, async () => {
      const changed = Promise.withResolvers<string>();
      const onStateChange = (available: boolean, cause: string) => changed.resolve(`${available}: ${cause}`);
      const stores = await openStores({ redisUrl }, { ...options, onStateChange });
      assert.ok(stores.limiter instanceof RedisStore);
      assert.equal(await changed.promise, 'false: ECONNREFUSED');
      assert.equal(stores.limiter.available, false);
      await stores.close();
    });
  }

  for (const redisUrl of ['http://user:hunter2@redis:6379', 'redis:6379 hunter2', 'hunter2']) {
    it(`refuses ${redisUrl} without repeating it`, async () => {
      await assert.rejects(
        () => openStores({ redisUrl }, options),
        (error) =>
          error instanceof PortcullisError && error.code === 'config_invalid' && !/hunter2/.test(error.message),
      );
    });
  }
});

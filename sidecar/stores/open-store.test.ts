import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PortcullisError } from '../../policy/errors.ts';
import { MemoryStore } from './memory-store.ts';
import { openStore } from './open-store.ts';
import { RedisStore } from './redis-store.ts';

const options = { group: 'ns/policy', replica: 'pod-0' };

describe('openStore', () => {
  it('opens a store in memory when none is configured', async () => {
    assert.ok((await openStore(null, options)) instanceof MemoryStore);
  });

  for (const redisUrl of ['redis://127.0.0.1:1', 'rediss://127.0.0.1:1']) {
    it(`opens ${redisUrl}, and answers by onStoreFailure while nobody is there`, async () => {
      const changed = Promise.withResolvers<string>();
      const onStateChange = (available: boolean, cause: string) => changed.resolve(`${available}: ${cause}`);
      const store = await openStore({ redisUrl }, { ...options, onStateChange });
      assert.ok(store instanceof RedisStore);
      assert.equal(await changed.promise, 'false: ECONNREFUSED');
      assert.equal(store.available, false);
      await store.close();
    });
  }

  for (const redisUrl of ['http://user:hunter2@redis:6379', 'redis:6379 hunter2', 'hunter2']) {
    it(`refuses ${redisUrl} without repeating it`, async () => {
      await assert.rejects(
        () => openStore({ redisUrl }, options),
        (error) =>
          error instanceof PortcullisError && error.code === 'config_invalid' && !/hunter2/.test(error.message),
      );
    });
  }
});

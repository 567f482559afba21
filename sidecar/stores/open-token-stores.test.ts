import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PortcullisError } from '../../policy/errors.ts';
import { openTokenStores } from './open-token-stores.ts';

const options = { group: 'ns/policy', replica: 'pod', maxStalenessMs: 1000, now: () => 0 };

describe('openTokenStores', () => {
  it('without a store remembers in memory, one set of revocations an issuer', async () => {
    const stores = await openTokenStores(null, options);
    const trading = stores.revocationsOf('auth/trading');
    await trading.revokeToken('a', 1000, 0);
    assert.equal(stores.revocationsOf('auth/trading'), trading);
    assert.equal(stores.revocationsOf('auth/other').check('a', null, 0), 'ok');
    assert.equal(trading.check('a', null, 0), 'revoked');
    await stores.close();
  });

  it('refuses a URL that is not of Redis, without showing it', async () => {
    const opening = openTokenStores({ redisUrl: 'http://:secret@redis' }, options);
    await assert.rejects(opening, (error) => {
      assert.ok(error instanceof PortcullisError && error.code === 'config_invalid');
      return !error.message.includes('secret');
    });
  });
});

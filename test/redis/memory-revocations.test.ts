import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MemoryRevocations } from '../../sidecar/stores/revocations-memory.ts';
import { revocationSuite } from './revocation-suite.ts';

revocationSuite('revocations in memory', async () => {
  const store = new MemoryRevocations();
  return { store, replica: store, close: async () => {} };
});

it('when full un-revokes nothing: what it does not hold is unknown', async () => {
  const store = new MemoryRevocations(2);
  assert.equal(await store.revokeToken('a', 1000, 0), true);
  assert.equal(await store.revokeSubject('ann', 5, 1000, 0), true);
  assert.equal(store.check('b', 'bob', 0), 'ok');
  assert.equal(await store.revokeToken('c', 1000, 0), false);
  assert.deepEqual(
    [store.check('a', null, 0), store.check(null, 'ann', 0), store.check('c', null, 0), store.check('b', null, 0)],
    ['revoked', 'revoked', 'unknown', 'unknown'],
  );
});

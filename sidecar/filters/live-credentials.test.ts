import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { exampleAccessBundle } from '../../policy/bundle/testing/example-bundles.ts';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import { memoryStores } from '../stores/open-stores.ts';
import { makeTestKey, testAuthenticator } from '../tokens/testing/token-fixtures.ts';
import type { VerifiedToken } from '../tokens/token-verifier.ts';
import { credentialOfClient, credentialOfKey, LiveCredentials } from './live-credentials.ts';

const whose = { subject: 'ann', roles: [], tenant: null, tier: null };
const key = { ...whose, sha256: 'a'.repeat(64), expiresAt: null };
const client = { ...whose, id: 'bot-1', secrets: ['old', 'new'] };
const list = { name: 'bots', secret: 'a/b', toleranceMs: 1, maxBytes: 1, onStoreFailure: 'Deny' } as const;
const authenticator = testAuthenticator([makeTestKey('HS256')]);
const token: VerifiedToken = {
  ...{ claims: { jti: 'one', iat: 1 }, authenticator: authenticator.name, kid: 'k' },
  ...{ refuseAfter: Number.POSITIVE_INFINITY, refuseBefore: 0, identity: null },
};
const bundle = (change: Partial<AccessBundle>): AccessBundle => ({
  ...exampleAccessBundle,
  jwt: [authenticator],
  revocation: { onStoreFailure: 'Deny', maxStalenessMs: 1_000 },
  ...change,
});
const all = {
  apiKeys: [{ name: 'p', header: 'x-api-key', keys: [key] }],
  signedRequests: [{ ...list, clients: [client] }],
};

describe('LiveCredentials', () => {
  const cases: readonly (readonly [
    name: string,
    change: Partial<AccessBundle>,
    good: readonly [key: boolean, oldSecret: boolean, newSecret: boolean],
  ])[] = [
    ['all are named', all, [true, true, true]],
    ['the key is gone', { ...all, apiKeys: [] }, [false, true, true]],
    [
      'a secret is gone',
      { ...all, signedRequests: [{ ...list, clients: [{ ...client, secrets: ['new'] }] }] },
      [true, false, true],
    ],
    ['nothing is named', {}, [false, false, false]],
    ['nothing is named in Shadow', { mode: 'Shadow' }, [true, true, true]],
  ];
  for (const [name, change, good] of cases) {
    it(name, () => {
      const live = new LiveCredentials();
      live.use(bundle(change), memoryStores().revocationsOf);
      const found = [credentialOfKey(key), credentialOfClient(client, 0), credentialOfClient(client, 1)];
      assert.deepEqual(
        found.map((each) => live.has(each)),
        good,
      );
    });
  }

  it('reads revocations where the policy in force reads them', async () => {
    const live = new LiveCredentials();
    const [before, now] = [memoryStores(), memoryStores()];
    live.use(bundle({}), before.revocationsOf);
    await now.revocationsOf(authenticator.keySet ?? '').revokeToken('one', 2_000, 1_000);
    assert.equal(live.isRevoked(token), false);
    live.use(bundle({}), now.revocationsOf);
    assert.equal(live.isRevoked(token), true);
    live.use(bundle({ mode: 'Shadow' }), now.revocationsOf);
    assert.equal(live.isRevoked(token), false);
  });
});

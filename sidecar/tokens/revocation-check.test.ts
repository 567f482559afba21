import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RevocationStore, RevocationVerdict } from '../stores/revocations.ts';
import { revocationCheck } from './revocation-check.ts';
import { testAuthenticator } from './testing/token-fixtures.ts';
import type { VerifiedToken } from './token-verifier.ts';

/** Says what it is told to, one answer after the other, and keeps what it was asked. */
class FakeRevocations implements RevocationStore {
  readonly asked: unknown[][] = [];
  refreshes = 0;
  readonly #verdicts: RevocationVerdict[];

  constructor(...verdicts: RevocationVerdict[]) {
    this.#verdicts = verdicts;
  }

  check(...asked: [string | null, string | null, number]): RevocationVerdict {
    this.asked.push(asked);
    return this.#verdicts.shift() ?? assert.fail('asked once too often');
  }

  async refresh(): Promise<void> {
    this.refreshes++;
  }

  revokeToken = () => Promise.resolve(true);
  revokeSubject = () => Promise.resolve(true);
  close(): void {}
}

const token = (authenticator: string, claims: object): VerifiedToken => ({
  claims: { ...claims },
  authenticator,
  kid: 'k',
  refuseAfter: Number.POSITIVE_INFINITY,
  refuseBefore: 0,
  identity: null,
});
const inside = testAuthenticator([], { name: 'inside' });
const outside = testAuthenticator([], { name: 'outside', keySet: null, issuer: 'https://login.example' });

describe('revocationCheck', () => {
  it("asks the store of the token's key set, or of its issuer outside", () => {
    const stores = new Map<string, FakeRevocations>();
    const check = revocationCheck({ onStoreFailure: 'Deny', maxStalenessMs: 1 }, [inside, outside], (group) => {
      const store = new FakeRevocations('ok');
      stores.set(group, store);
      return store;
    });
    assert.equal(check.check(token('inside', { jti: 'a', sub: 'ann', iat: 7 })), 'ok');
    assert.equal(check.check(token('outside', { jti: 7, sub: ['ann'] })), 'ok');
    assert.deepEqual(
      [...stores].map(([group, { asked }]) => [group, asked]),
      [
        ['default/trading', [['a', 'ann', 7_000]]],
        ['external:https://login.example', [[null, null, 0]]],
      ],
    );
  });

  const cases: readonly (readonly [
    what: string,
    onStoreFailure: 'Deny' | 'Allow',
    said: RevocationVerdict[],
    verdict: RevocationVerdict,
    refreshes: number,
  ])[] = [
    ['revoked is not asked about again', 'Allow', ['revoked'], 'revoked', 0],
    ['unknown is asked about once more: good', 'Deny', ['unknown', 'ok'], 'ok', 1],
    ['unknown is asked about once more: revoked', 'Allow', ['unknown', 'revoked'], 'revoked', 1],
    ['unknown that stays so, Deny', 'Deny', ['unknown', 'unknown'], 'unknown', 1],
    ['unknown that stays so, Allow', 'Allow', ['unknown', 'unknown'], 'ok', 1],
  ];
  for (const [what, onStoreFailure, said, verdict, refreshes] of cases) {
    it(what, async () => {
      const store = new FakeRevocations(...said);
      const check = revocationCheck({ onStoreFailure, maxStalenessMs: 1 }, [inside], () => store);
      assert.deepEqual([await check.check(token('inside', {})), store.refreshes], [verdict, refreshes]);
    });
  }

  it('a connection that stays open ends only for what is known to be revoked', () => {
    const store = new FakeRevocations('unknown', 'ok', 'revoked');
    const check = revocationCheck({ onStoreFailure: 'Deny', maxStalenessMs: 1 }, [inside], () => store);
    const its = token('inside', {});
    assert.deepEqual([check.isRevoked(its), check.isRevoked(its), check.isRevoked(its)], [false, false, true]);
  });

  it('a token of nobody that is known is not known to be good', () => {
    const check = revocationCheck({ onStoreFailure: 'Deny', maxStalenessMs: 1 }, [], () => assert.fail('none'));
    assert.equal(check.check(token('inside', {})), 'unknown');
  });
});

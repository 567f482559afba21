import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JWT_ALGORITHMS } from '../../policy/bundle/types.ts';
import type { IssuingKey } from '../../policy/keys/outputs.ts';
import { makeTestKey, type TestKey, testAuthenticator } from '../tokens/testing/token-fixtures.ts';
import { createTokenVerifier } from '../tokens/verifier.ts';
import { createSigner } from './signer.ts';
import { T } from './testing/token-service-fixture.ts';

const HOUR_MS = 3_600_000;

function issuingKey(key: TestKey): IssuingKey {
  const { kid, algorithm } = key.verification;
  return { kid, algorithm, privateJwk: key.privateJwk, maxTokenLifetimeMs: HOUR_MS };
}

describe('signer', () => {
  for (const algorithm of JWT_ALGORITHMS) {
    it(`${algorithm}: our verifier accepts what it signs, until its end`, async () => {
      const key = makeTestKey(algorithm);
      const authenticator = testAuthenticator([key], { clockSkewMs: 0 });
      const claims = { iss: authenticator.issuer, aud: authenticator.audiences, sub: 'ann', jti: 'j' };
      const signed = await createSigner(() => issuingKey(key)).sign(claims, 60_000, T + 999);
      assert.equal(signed?.expiresIn, 60);
      const verify = (now: number) => createTokenVerifier([authenticator]).verify(signed?.token ?? '', now);
      const verdict = await verify(T + 59_999);
      assert.ok(typeof verdict === 'object', String(verdict));
      assert.deepEqual({ ...verdict.claims }, { ...claims, iat: T / 1000, exp: T / 1000 + 60 });
      assert.equal(await verify(T + 60_000), 'expired');
    });
  }

  it('signs by the key of the moment, and by none while there is none', async () => {
    const [one, two] = [makeTestKey('ES256', 'one'), makeTestKey('ES256', 'two')];
    const keys = [issuingKey(one), issuingKey(two), null];
    const signer = createSigner(() => keys.shift() ?? null);
    const kid = async () => {
      const signed = await signer.sign({}, 1000, T);
      return signed && JSON.parse(Buffer.from(signed.token.split('.')[0] ?? '', 'base64url').toString()).kid;
    };
    assert.deepEqual([await kid(), await kid(), await kid()], ['one', 'two', null]);
  });

  it('promises no more than its key', async () => {
    const issuing = issuingKey(makeTestKey('HS256'));
    const signed = await createSigner(() => issuing).sign({}, HOUR_MS + 1000, T);
    assert.equal(signed?.expiresIn, 3600);
  });
});

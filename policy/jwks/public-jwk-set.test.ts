import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import { JWT_ALGORITHMS, type JwtAlgorithm } from '../bundle/types.ts';
import { isSymmetric } from '../keys/algorithms.ts';
import { publicJwkSet } from './public-jwk-set.ts';

const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'];

function privateJwk(algorithm: JwtAlgorithm): Record<string, string> {
  if (algorithm === 'EdDSA') return exported(generateKeyPairSync('ed25519').privateKey);
  if (algorithm.startsWith('ES'))
    return exported(generateKeyPairSync('ec', { namedCurve: algorithm === 'ES256' ? 'P-256' : 'P-384' }).privateKey);
  return exported(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
}

function exported(key: KeyObject): Record<string, string> {
  return key.export({ format: 'jwk' }) as Record<string, string>;
}

describe('publicJwkSet', () => {
  for (const algorithm of JWT_ALGORITHMS.filter((each) => !isSymmetric(each))) {
    it(`${algorithm}: gives away what verifies, of a whole private key`, () => {
      const jwk = privateJwk(algorithm);
      const [key, ...others] = publicJwkSet([{ kid: 'a', algorithm, jwk }])?.keys ?? [];
      assert.deepEqual(others, []);
      assert.deepEqual([key?.kid, key?.alg, key?.use], ['a', algorithm, 'sig']);
      for (const member of PRIVATE) assert.equal(key?.[member], undefined, member);
      const { kid: _, alg: __, use: ___, ...plain } = key!;
      assert.deepEqual(createPublicKey({ key: plain, format: 'jwk' }).export({ format: 'jwk' }), plain);
    });
  }

  it('is null where all are secrets, and where there is none', () => {
    const secret = { kid: 'a', algorithm: 'HS256', jwk: { kty: 'oct', k: 'secret' } } as const;
    assert.equal(publicJwkSet([secret]), null);
    assert.equal(publicJwkSet([]), null);
    const beside = publicJwkSet([
      secret,
      { kid: 'b', algorithm: 'EdDSA', jwk: { kty: 'OKP', crv: 'Ed25519', x: 'x' } },
    ]);
    assert.deepEqual(
      beside?.keys.map(({ kid }) => kid),
      ['b'],
    );
  });

  it('takes kty from the algorithm', () => {
    const [key] =
      publicJwkSet([{ kid: 'a', algorithm: 'ES256', jwk: { kty: 'oct', k: 'secret', kid: 'x' } }])?.keys ?? [];
    assert.deepEqual(key, { kty: 'EC', kid: 'a', alg: 'ES256', use: 'sig' });
  });
});

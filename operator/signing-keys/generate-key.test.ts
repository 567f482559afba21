import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { CompactSign, compactVerify, importJWK } from 'jose';
import { isJwt, isSymmetric, KEY_SET_ALGORITHMS, KEY_SHAPES } from '../../policy/keys/algorithms.ts';
import { applyStep } from '../../policy/keys/apply-step.ts';
import { decodeKeyring, encodeKeyring } from '../../policy/keys/keyring-document.ts';
import { SPEC } from '../../policy/keys/testing/fixtures.ts';
import { generateKey } from './generate-key.ts';

for (const algorithm of KEY_SET_ALGORITHMS) {
  const { kty, members, privateMembers, secretBytes = 0 } = KEY_SHAPES[algorithm];

  test(`${algorithm}: exactly the members of its kind, each with a value, and a kid that no other key has`, async () => {
    const key = await generateKey(algorithm);
    const privateHalf = key.privateMembers ?? {};
    assert.equal(key.algorithm, algorithm);
    assert.equal(key.jwk['kty'], kty);
    assert.deepEqual(Object.keys(key.jwk).sort(), ['kty', ...members].sort());
    assert.deepEqual(Object.keys(privateHalf).sort(), [...privateMembers].sort());
    for (const value of Object.values({ ...key.jwk, ...privateHalf })) assert.match(value, /^[\w-]+$/);
    assert.notEqual((await generateKey(algorithm)).kid, key.kid);
  });

  if (isJwt(algorithm)) {
    test(`${algorithm}: the whole key signs what its public half verifies`, async () => {
      const { jwk, privateMembers } = await generateKey(algorithm);
      const signer = await importJWK({ ...jwk, ...privateMembers }, algorithm);
      const token = await new CompactSign(Buffer.from('signed')).setProtectedHeader({ alg: algorithm }).sign(signer);
      const { payload } = await compactVerify(token, await importJWK(jwk, algorithm));
      assert.equal(Buffer.from(payload).toString(), 'signed');
      const another = await importJWK((await generateKey(algorithm)).jwk, algorithm);
      await assert.rejects(compactVerify(token, another), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
    });
  }

  if (isSymmetric(algorithm)) {
    test(`${algorithm}: ${secretBytes} random bytes under a random kid that says nothing of them`, async () => {
      const [one, two] = await Promise.all([generateKey(algorithm), generateKey(algorithm)]);
      assert.equal(Buffer.from(one.jwk['k'] ?? '', 'base64url').length, secretBytes);
      assert.notEqual(one.jwk['k'], two.jwk['k']);
      assert.match(one.kid, /^[\w-]{22}$/);
      assert.notEqual(one.kid, thumbprint(one.jwk));
    });
  } else {
    test(`${algorithm}: the kid is the thumbprint of the public half`, async () => {
      const { kid, jwk } = await generateKey(algorithm);
      assert.equal(kid, thumbprint(jwk));
    });
  }

  test(`${algorithm}: a keyring with a real key survives its document`, async () => {
    const key = await generateKey(algorithm);
    const create = { kind: 'Create', key: { kind: 'NewKey', algorithm }, serial: 1 } as const;
    const keyring = applyStep({ ...SPEC, algorithm }, null, create, key, 1);
    assert.deepEqual(decodeKeyring(encodeKeyring(keyring)), keyring);
  });
}

test('RSA keys have 2048 bits and the usual exponent', async () => {
  for (const algorithm of ['RS256', 'PS256'] as const) {
    const { jwk } = await generateKey(algorithm);
    assert.deepEqual([Buffer.from(jwk['n'] ?? '', 'base64url').length, jwk['e']], [256, 'AQAB']);
  }
});

/** RFC 7638 §3, by hand: a JWK of ours has no members but those that count. */
function thumbprint(jwk: Readonly<Record<string, string>>): string {
  const sorted = Object.fromEntries(Object.entries(jwk).sort(([a], [b]) => (a < b ? -1 : 1)));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('base64url');
}

import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import type { JwtAlgorithm } from '../../policy/bundle/types.ts';
import { applyStep } from '../../policy/keys/apply-step.ts';
import { decodeKeyring, encodeKeyring } from '../../policy/keys/keyring-document.ts';
import { SPEC } from '../../policy/keys/testing/fixtures.ts';
import { generateKey } from './generate-key.ts';

for (const algorithm of ['ES256', 'RS256'] as const) {
  test(`${algorithm}: the two halves belong together, the public one holds nothing private`, async () => {
    const { kid, jwk, privateMembers } = await generateKey(algorithm);
    const privateKey = createPrivateKey({ key: { ...jwk, ...privateMembers }, format: 'jwk' });
    const publicKey = createPublicKey({ key: jwk, format: 'jwk' });
    const data = Buffer.from('signed');
    assert(verify('sha256', data, publicKey, sign('sha256', data, privateKey)));
    assert(!['d', 'p', 'q', 'dp', 'dq', 'qi'].some((name) => Object.hasOwn(jwk, name)));
    assert.match(kid, /^[A-Za-z0-9_-]{43}$/);
    assert.notEqual((await generateKey(algorithm)).kid, kid);
  });
}

test('RS256 keys have 2048 bits', async () => {
  const { jwk } = await generateKey('RS256');
  assert.equal(Buffer.from(jwk['n'] ?? '', 'base64url').length, 256);
});

test('HS256: 32 random bytes under a random kid that says nothing of them', async () => {
  const [one, two] = await Promise.all([generateKey('HS256'), generateKey('HS256')]);
  assert.equal(Buffer.from(one.jwk['k'] ?? '', 'base64url').length, 32);
  assert.notEqual(one.jwk['k'], two.jwk['k']);
  assert.notEqual(one.kid, two.kid);
  assert.deepEqual(one.privateMembers, {});
});

for (const algorithm of ['ES256', 'RS256', 'HS256'] satisfies JwtAlgorithm[]) {
  test(`${algorithm}: a keyring with a real key survives its document`, async () => {
    const key = await generateKey(algorithm);
    const keyring = applyStep(
      { ...SPEC, algorithm },
      null,
      { kind: 'Create', key: { kind: 'NewKey', algorithm } },
      key,
      1,
    );
    assert.deepEqual(decodeKeyring(encodeKeyring(keyring)), keyring);
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isJwt, isSymmetric, KEY_SET_ALGORITHMS, KEY_SHAPES } from './algorithms.ts';
import type { Keyring, RetiredKey } from './keyring.ts';
import { activeKid } from './outputs.ts';
import { render } from './render.ts';
import { fakeKey, HOUR, QuietKeySet, rotating } from './testing/fixtures.ts';

/** `k1:Retired k2:Active k3:Standby` */
function rotated(algorithm: (typeof KEY_SET_ALGORITHMS)[number]): Keyring {
  const keySet = new QuietKeySet({ ...rotating({ prePublishMs: HOUR }), maxTokenLifetimeMs: 10 * HOUR, algorithm });
  keySet.settle();
  for (const rotateRequest of ['one', 'two']) {
    keySet.spec = { ...keySet.spec, rotateRequest };
    keySet.settle();
    if (rotateRequest === 'one') keySet.advance(HOUR);
  }
  assert.equal(keySet.phases, 'k1:Retired k2:Active k3:Standby');
  return keySet.ring;
}

for (const algorithm of KEY_SET_ALGORITHMS) {
  test(`${algorithm}: all keys verify, the active one signs, and only public members are published`, () => {
    const keyring = rotated(algorithm);
    const outputs = render(keyring);
    const { serial, verificationKeys, jwks, issuing, fernet } = outputs;
    assert.equal(serial, keyring.serial);
    assert.equal(activeKid(outputs), 'k2');
    const { members, privateMembers } = KEY_SHAPES[algorithm];
    const kids = (fernet ?? verificationKeys).map(({ kid }) => kid);
    assert.deepEqual(kids, fernet === null ? ['k1', 'k2', 'k3'] : ['k2', 'k3', 'k1']);
    if (!isJwt(algorithm)) {
      assert.deepEqual([verificationKeys, jwks, issuing], [[], null, null]);
      return;
    }
    assert(issuing !== null && fernet === null);
    assert.deepEqual(Object.keys(issuing.privateJwk).sort(), ['kty', ...members, ...privateMembers].sort());
    assert.equal(issuing.maxTokenLifetimeMs, 10 * HOUR);
    for (const key of verificationKeys) {
      assert.equal(key.algorithm, algorithm);
      assert.deepEqual(Object.keys(key.jwk).sort(), ['kty', ...members].sort());
    }
    if (isSymmetric(algorithm)) assert.equal(jwks, null);
    else {
      for (const key of jwks?.keys ?? []) {
        assert.deepEqual(Object.keys(key).sort(), ['alg', 'kid', 'kty', 'use', ...members].sort());
        assert.deepEqual([key.alg, key.use], [algorithm, 'sig']);
      }
      assert.equal(jwks?.keys.length, 3);
    }
  });
}

test('secrets never come into the JWK Set of a set that has become one of key pairs', () => {
  const keyring = rotated('ES256');
  const secret = { ...fakeKey(9, 'HS256') };
  const keys = keyring.keys.map((key) => (key.phase === 'Retired' ? { ...key, ...secret } : key));
  const { jwks, verificationKeys } = render({ ...keyring, keys });
  assert.deepEqual(
    jwks?.keys.map(({ kid }) => kid),
    ['k2', 'k3'],
  );
  assert(verificationKeys.some(({ kid }) => kid === 'k9'));
});

test('MultiFernet: active, standby, then retired, the latest first; in the form that Fernet writes keys', () => {
  const keyring = rotated('Fernet');
  const retired = (number: number, retiredAt: number): RetiredKey => ({
    ...fakeKey(number, 'Fernet'),
    phase: 'Retired',
    createdAt: 1,
    addedSerial: 1,
    publishedAt: 1,
    activatedAt: 1,
    retiredAt,
    retireConfirmedAt: null,
    graces: { maxTokenLifetimeMs: null, propagationMs: 0, clockSkewMs: 0 },
  });
  // k5 was made after k4 and retired before it; k6 retired at the same time as k4, so after it.
  const keys = [retired(4, 20), retired(5, 10), retired(6, 20), ...keyring.keys.filter(({ kid }) => kid !== 'k1')];
  const { fernet } = render({ ...keyring, keys });
  assert.deepEqual(
    fernet?.map(({ kid }) => kid),
    ['k2', 'k3', 'k6', 'k4', 'k5'],
  );
  assert.equal(fernet?.[0]?.key, 'secret-k-2=');
});

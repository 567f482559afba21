import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateKey } from '../../operator/signing-keys/generate-key.ts';
import { KEY_SET_ALGORITHMS, type KeySetAlgorithm } from '../../policy/keys/algorithms.ts';
import { encodeEscrowedKey } from '../../policy/keys/escrow-document.ts';
import type { KeyMaterial } from '../../policy/keys/keyring.ts';
import { readEscrowedKey } from './escrowed-key.ts';

const KEY_SET = 'auth/trading';

const keys = new Map<KeySetAlgorithm, readonly [KeyMaterial, KeyMaterial]>();
for (const algorithm of KEY_SET_ALGORITHMS) {
  keys.set(algorithm, [await generateKey(algorithm), await generateKey(algorithm)]);
}

function two(algorithm: KeySetAlgorithm): readonly [KeyMaterial, KeyMaterial] {
  return keys.get(algorithm)!;
}

for (const algorithm of KEY_SET_ALGORITHMS) {
  test(`${algorithm}: read as it was written`, async () => {
    const [key] = two(algorithm);
    assert.deepEqual(await readEscrowedKey(encodeEscrowedKey(KEY_SET, key), KEY_SET, key.kid), key);
  });
}

test('a private half that was erased stays so', async () => {
  const erased = { ...two('ES256')[0], privateMembers: null };
  assert.deepEqual(await readEscrowedKey(encodeEscrowedKey(KEY_SET, erased), KEY_SET, erased.kid), erased);
});

const [es, otherEs] = two('ES256');
const [hs] = two('HS256');
const [ed] = two('EdDSA');

const refused: readonly {
  name: string;
  of?: string;
  kid?: string;
  key: KeyMaterial;
  edit?: (text: string) => string;
  says: RegExp;
}[] = [
  { name: 'the message of another key', key: otherEs, kid: es.kid, says: /^it holds key / },
  { name: 'a message of another key set', of: 'auth/other', key: es, says: /^it is of key set auth\/other$/ },
  { name: 'not JSON', key: es, edit: (text) => text.slice(9), says: /^document must be JSON/ },
  {
    name: 'another format',
    key: es,
    edit: (text) => text.replace('key/v1', 'key/v2'),
    says: /^format: must be one of/,
  },
  { name: 'members of another algorithm', key: { ...es, jwk: hs.jwk }, says: /^key\.jwk: must be of members/ },
  { name: 'a secret without its length', key: { ...hs, algorithm: 'HS512' }, says: /not the 64 bytes of HS512/ },
  {
    name: 'a secret with a stray bit',
    key: { ...hs, jwk: { ...hs.jwk, k: `${hs.jwk['k']?.slice(0, -1)}B` } },
    says: /not the 32 bytes of HS256/,
  },
  { name: 'a curve of another algorithm', key: { ...es, algorithm: 'ES384' }, says: /^its key is not of ES384$/ },
  { name: 'a type of another algorithm', key: { ...es, jwk: { ...es.jwk, kty: 'RSA' } }, says: /not of ES256/ },
  { name: 'a public key under the kid of another', key: { ...otherEs, kid: es.kid }, says: /not the thumbprint/ },
  {
    name: 'the private half of another key',
    key: { ...es, privateMembers: otherEs.privateMembers },
    says: /halves do not belong together/,
  },
  { name: 'no private half at all', key: { ...ed, privateMembers: { d: 'AAAA' } }, says: /halves do not belong/ },
];

for (const { name, of = KEY_SET, key, kid = key.kid, edit = String, says } of refused) {
  test(`refused: ${name}; no value is shown`, async () => {
    const error = await readEscrowedKey(edit(encodeEscrowedKey(of, key)), KEY_SET, kid).then(
      () => assert.fail('accepted'),
      (error: Error & { code?: string }) => error,
    );
    assert.equal(error.code, 'keyring_invalid');
    assert.match(error.message, says);
    for (const value of Object.values({ ...key.jwk, ...key.privateMembers })) {
      if (value.length > 10) assert.ok(!error.message.includes(value));
    }
  });
}

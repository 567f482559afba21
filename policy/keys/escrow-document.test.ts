import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortcullisError } from '../errors.ts';
import { KEY_SET_ALGORITHMS } from './algorithms.ts';
import type { Escrow } from './escrow.ts';
import {
  decodeEscrow,
  decodeEscrowedKey,
  ESCROW_INDEX_FILE,
  encodeEscrow,
  encodeEscrowedKey,
} from './escrow-document.ts';
import { withoutMaterial } from './keyring.ts';
import { fakeKey, HOUR, QuietKeySet, SPEC } from './testing/fixtures.ts';

function escrow(): Escrow {
  const keySet = new QuietKeySet();
  keySet.settle();
  keySet.spec = { ...SPEC, rotateRequest: 'now', revocations: [{ kid: 'gone', reason: 'stolen' }] };
  keySet.advance(24 * HOUR);
  return { recipients: ['AAAA', 'BBBB'], index: withoutMaterial(keySet.ring), messages: { k1: 'one', '-_': 'two' } };
}

test('an escrow survives its files, with and without an index; nothing of a key is in them', () => {
  for (const whole of [escrow(), { ...escrow(), index: null }]) {
    const files = encodeEscrow(whole);
    assert.deepEqual(Object.keys(files).sort(), ['-_.asc', ESCROW_INDEX_FILE, 'k1.asc'].sort());
    assert.deepEqual(decodeEscrow(files), whole);
    assert.doesNotMatch(JSON.stringify(files), /private-|secret-|"jwk"/);
  }
});

for (const algorithm of KEY_SET_ALGORITHMS) {
  test(`a key of ${algorithm} survives its message, whole`, () => {
    const key = fakeKey(1, algorithm);
    assert.deepEqual(decodeEscrowedKey(encodeEscrowedKey('auth/trading', key)), { keySet: 'auth/trading', key });
  });
}

test('a retired pair is escrowed without its erased half', () => {
  const key = { ...fakeKey(1, 'ES256'), privateMembers: null };
  assert.deepEqual(decodeEscrowedKey(encodeEscrowedKey('auth/trading', key)).key, key);
});

const file = encodeEscrow(escrow())[ESCROW_INDEX_FILE] ?? '';
const message = encodeEscrowedKey('auth/trading', fakeKey(1, 'ES256'));

const broken: readonly { name: string; decode: () => unknown; says: RegExp }[] = [
  { name: 'no index file', decode: () => decodeEscrow({ 'k1.asc': 'one' }), says: /damaged or cut short/ },
  {
    name: 'another format',
    decode: () => decodeEscrow({ [ESCROW_INDEX_FILE]: file.replace('escrow/v1', 'escrow/v2') }),
    says: /^format: must be one of portcullis-escrow\/v1/,
  },
  {
    name: 'material in the index',
    decode: () => decodeEscrow({ [ESCROW_INDEX_FILE]: file.replace('"phase"', '"jwk": {}, "phase"') }),
    says: /^index\.keys\[0\]\.jwk: must be absent/,
  },
  {
    name: 'an index without an active key',
    decode: () => decodeEscrow({ [ESCROW_INDEX_FILE]: file.replace(/"keys": \[[\s\S]*\]/, '"keys": []') }),
    says: /exactly one Active key/,
  },
  { name: 'a message cut short', decode: () => decodeEscrowedKey(message.slice(0, 200)), says: /damaged or cut short/ },
  {
    name: 'a message that is a keyring',
    decode: () => decodeEscrowedKey(message.replace('escrowed-key/v1', 'keyring/v1')),
    says: /^format: must be one of portcullis-escrowed-key\/v1/,
  },
  {
    name: 'members of another algorithm',
    decode: () => decodeEscrowedKey(message.replace('"ES256"', '"HS256"')),
    says: /^key\.jwk: must be of members k, kty/,
  },
];

for (const { name, decode, says } of broken) {
  test(`refused: ${name}`, () => {
    assert.throws(decode, (error) => {
      assert(error instanceof PortcullisError && error.code === 'keyring_invalid');
      assert.match(error.message, says);
      assert.doesNotMatch(JSON.stringify([error.message, error.cause]), /private-|secret-/);
      return true;
    });
  });
}

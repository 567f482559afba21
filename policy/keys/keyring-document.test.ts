import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortcullisError } from '../errors.ts';
import { decodeKeyring, encodeKeyring } from './keyring-document.ts';
import { decodeOutputs, encodeOutputs } from './outputs-document.ts';
import { HOUR, QuietKeySet, SPEC } from './testing/fixtures.ts';

function rotated(): QuietKeySet {
  const keySet = new QuietKeySet();
  keySet.settle();
  keySet.spec = { ...SPEC, rotateRequest: 'now', revocations: [{ kid: 'gone', reason: 'stolen' }] };
  keySet.advance(24 * HOUR);
  return keySet;
}

const good = rotated();
const text = encodeKeyring(good.ring);

test('a keyring and its outputs survive their documents', () => {
  assert.deepEqual(decodeKeyring(text), good.ring);
  assert(good.outputs !== null);
  assert.deepEqual(decodeOutputs(encodeOutputs(good.outputs)), good.outputs);
});

const broken: readonly { name: string; text: string; says: RegExp }[] = [
  { name: 'empty', text: '', says: /damaged or cut short/ },
  { name: 'cut short', text: text.slice(0, text.length / 2), says: /damaged or cut short/ },
  { name: 'a list', text: '[]', says: /^document: must be an object/ },
  {
    name: 'another format',
    text: text.replace('keyring/v1', 'keyring/v2'),
    says: /^format: must be one of portcullis-keyring\/v1/,
  },
  {
    name: 'an unknown member',
    text: text.replace('"serial"', '"serial2": 1, "serial"'),
    says: /^serial2: must be absent/,
  },
  {
    name: 'no active key',
    text: text.replace('"phase": "Active"', '"phase": "Standby"'),
    says: /^keys\[1\]\.\w+: must be absent/,
  },
  {
    name: 'a missing time',
    text: text.replace(/"retiredAt": \d+,/, ''),
    says: /^keys\[0\]\.retiredAt: must be present/,
  },
  { name: 'a kid twice', text: text.replaceAll('"k2"', '"k1"'), says: /without any kid twice/ },
  { name: 'a tombstoned key', text: text.replaceAll('"gone"', '"k2"'), says: /without any kid twice/ },
  {
    name: 'a private member among the public ones',
    text: text.replace('"x":', '"d":'),
    says: /^keys\[0\]\.jwk: must be of members crv, kty, x, y/,
  },
  {
    name: 'a standby without its private half',
    text: text.replaceAll(/"privateMembers": \{[^}]*\}/g, '"privateMembers": null'),
    says: /privateMembers: must be present/,
  },
  {
    name: 'confirmed ahead',
    text: text.replace(/"confirmed": \d+/, '"confirmed": 99'),
    says: /^confirmed: must be at most serial/,
  },
  {
    name: 'serial 0',
    text: text.replace(/"serial": \d+/, '"serial": 0'),
    says: /^serial: must be a whole number of at least 1/,
  },
];

for (const { name, text, says } of broken) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => decodeKeyring(text),
      (error) => {
        assert(error instanceof PortcullisError && error.code === 'keyring_invalid');
        assert.match(error.message, says);
        assert(!JSON.stringify([error.message, error.cause]).includes('private-'), 'no key in an error');
        return true;
      },
    );
  });
}

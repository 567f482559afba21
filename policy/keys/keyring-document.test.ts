import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortcullisError } from '../errors.ts';
import { KEY_SET_ALGORITHMS } from './algorithms.ts';
import { decodeKeyring, encodeKeyring } from './keyring-document.ts';
import { decodeOutputs, encodeOutputs } from './outputs-document.ts';
import { HOUR, QuietKeySet, rotating, SPEC } from './testing/fixtures.ts';

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

for (const algorithm of KEY_SET_ALGORITHMS) {
  test(`${algorithm}: every keyring on the way, and its outputs, survive their documents`, () => {
    const keySet = new QuietKeySet({ ...rotating({ periodMs: 48 * HOUR, prePublishMs: HOUR }), algorithm });
    for (let hours = 0; hours < 200; hours++) {
      for (let step = keySet.plan(); step.kind !== 'Wait'; step = keySet.plan()) {
        keySet.apply(step);
        assert.deepEqual(decodeKeyring(encodeKeyring(keySet.ring)), keySet.ring);
        if (keySet.outputs !== null) assert.deepEqual(decodeOutputs(encodeOutputs(keySet.outputs)), keySet.outputs);
      }
      keySet.now += HOUR;
    }
    assert(Number(keySet.activeKid?.slice(1)) >= 4, keySet.phases);
  });
}

const brokenOutputs: readonly { name: string; change: (text: string) => string; says: RegExp }[] = [
  { name: 'cut short', change: (text) => text.slice(0, 40), says: /damaged or cut short/ },
  {
    name: 'an unknown member',
    change: (text) => text.replace('"serial"', '"x": 1, "serial"'),
    says: /^x: must be absent/,
  },
  {
    name: 'no member for Fernet',
    change: (text) => text.replace(/,\s*"fernet": null/, ''),
    says: /^fernet: must be present/,
  },
  {
    name: 'Fernet to sign with',
    change: (text) => text.replace('"algorithm": "ES256"', '"algorithm": "Fernet"'),
    says: /^verificationKeys\[0\]\.algorithm: must be one of HS256/,
  },
];

for (const { name, change, says } of brokenOutputs) {
  test(`refused outputs: ${name}`, () => {
    assert(good.outputs !== null);
    const changed = change(encodeOutputs(good.outputs));
    assert.throws(() => decodeOutputs(changed), { code: 'keyring_invalid', message: says });
  });
}

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

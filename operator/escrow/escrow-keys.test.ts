import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEscrowed } from '../../policy/keys/escrow.ts';
import { decodeEscrow, encodeEscrow } from '../../policy/keys/escrow-document.ts';
import { withoutMaterial } from '../../policy/keys/keyring.ts';
import { fakeKey, HOUR, QuietKeySet } from '../../policy/keys/testing/fixtures.ts';
import { fakeRecipients, openedEscrow } from '../signing-keys/testing/fake-recipients.ts';
import { escrowKeyring, escrowNewKey } from './escrow-keys.ts';

const KEY_SET = 'auth/trading';

function rotated(): QuietKeySet {
  const keySet = new QuietKeySet();
  keySet.settle();
  keySet.advance(24 * HOUR);
  return keySet;
}

test('a keyring is escrowed whole, and not encrypted again to the same recipients', async () => {
  const { ring } = rotated();
  const alice = fakeRecipients('A');
  const escrow = await escrowKeyring(ring, null, alice);
  assert.ok(isEscrowed(ring, escrow, ['A']));
  assert.deepEqual(escrow.index, withoutMaterial(ring));
  assert.doesNotMatch(JSON.stringify(encodeEscrow({ ...escrow, messages: {} })), /private-|"jwk"/);
  const opened = openedEscrow(KEY_SET, escrow);
  for (const { kid, algorithm, jwk, privateMembers } of ring.keys) {
    assert.deepEqual(opened.get(kid), { kid, algorithm, jwk, privateMembers });
  }
  assert.deepEqual(await escrowKeyring(ring, escrow, alice), escrow);
  assert.deepEqual(decodeEscrow(encodeEscrow(escrow)), escrow);
});

test('other recipients: every key of the keyring is encrypted to them, keys that are gone stay as they are', async () => {
  const { ring } = rotated();
  const before = await escrowKeyring(ring, null, fakeRecipients('A'));
  const gone = { ...before, messages: { gone: 'A 0', ...before.messages } };
  const after = await escrowKeyring(ring, gone, fakeRecipients('A', 'B'));
  assert.ok(!isEscrowed(ring, before, ['A', 'B']));
  assert.ok(isEscrowed(ring, after, ['A', 'B']));
  for (const [kid, message] of Object.entries(after.messages)) {
    assert.match(message, kid === 'gone' ? /^A 0/ : /^A,B /);
  }
});

test('a new key is escrowed before it is in a keyring, the first one too', async () => {
  const first = await escrowNewKey(KEY_SET, fakeKey(1, 'ES256'), null, fakeRecipients('A'));
  assert.equal(first.index, null);
  assert.deepEqual(Object.keys(first.messages), ['k1']);
  const { ring } = rotated();
  const before = await escrowKeyring(ring, null, fakeRecipients('A'));
  const after = await escrowNewKey(KEY_SET, fakeKey(9, 'ES256'), before, fakeRecipients('A'));
  assert.deepEqual(after, { ...before, messages: { ...before.messages, k9: after.messages['k9'] } });
  assert.ok(isEscrowed(ring, after, ['A']));
});

test('recipients that change for one key and back: no key stays with those of the moment alone', async () => {
  const keySet = rotated();
  const before = await escrowKeyring(keySet.ring, null, fakeRecipients('A'));
  keySet.advance(720 * HOUR);
  const added = keySet.ring.keys.at(-1);
  assert.ok(added !== undefined && !Object.hasOwn(before.messages, added.kid));
  const { kid, algorithm, jwk, privateMembers } = added;
  const between = await escrowNewKey(KEY_SET, { kid, algorithm, jwk, privateMembers }, before, fakeRecipients('B'));
  assert.ok(!isEscrowed(keySet.ring, between, ['A']));
  const after = await escrowKeyring(keySet.ring, between, fakeRecipients('A'));
  assert.match(after.messages[kid] ?? '', /^A /);
  const staying = await escrowKeyring(keySet.ring, between, fakeRecipients('B'));
  for (const key of keySet.ring.keys) assert.match(staying.messages[key.kid] ?? '', /^B /);
  assert.ok(isEscrowed(keySet.ring, after, ['A']));
});

test('recipients that change between the message of a key and its keyring: it is encrypted to the new ones too', async () => {
  const keySet = rotated();
  const before = await escrowKeyring(keySet.ring, null, fakeRecipients('A'));
  keySet.advance(720 * HOUR);
  const added = keySet.ring.keys.at(-1);
  assert.ok(added !== undefined);
  const { kid, algorithm, jwk, privateMembers } = added;
  const without = { ...keySet.ring, keys: keySet.ring.keys.slice(0, -1) };
  const message = await escrowNewKey(KEY_SET, { kid, algorithm, jwk, privateMembers }, before, fakeRecipients('A'));
  const changed = await escrowKeyring(without, message, fakeRecipients('B'));
  assert.ok(!isEscrowed(keySet.ring, changed, ['B']));
  const after = await escrowKeyring(keySet.ring, changed, fakeRecipients('B'));
  assert.ok(isEscrowed(keySet.ring, after, ['B']));
  for (const key of keySet.ring.keys) assert.match(after.messages[key.kid] ?? '', /^B /);
});

test('keys that are gone make room when the Secret is full; those of the keyring and the new one never do', async () => {
  const { ring } = rotated();
  const long = 'x'.repeat(100_000);
  const full = await escrowKeyring(ring, null, fakeRecipients('A'));
  const messages = { ...full.messages, ...Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`g${n}`, long])) };
  for (const after of [
    await escrowKeyring(ring, { ...full, messages }, fakeRecipients('A')),
    await escrowNewKey(KEY_SET, fakeKey(9, 'ES256'), { ...full, messages }, fakeRecipients('A')),
  ]) {
    const kids = Object.keys(after.messages);
    assert.ok(ring.keys.every(({ kid }) => kids.includes(kid)));
    const bytes = Object.values(after.messages).join('').length;
    assert.ok(bytes <= 512 * 1024 && bytes > 400_000, `${bytes} bytes`);
  }
});

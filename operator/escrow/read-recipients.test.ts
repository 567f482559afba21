import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  armor,
  decrypt,
  decryptSessionKeys,
  enums,
  generateKey,
  type KeyOptions,
  readMessage,
  readPrivateKey,
  reformatKey,
  revokeKey,
} from 'openpgp';
import { readRecipients } from './read-recipients.ts';
import type { UsableRecipients } from './recipients.ts';

const NOW = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;

function pair(options: Partial<KeyOptions> = {}) {
  return generateKey({ userIDs: [{ name: 'a' }], date: new Date(NOW - 10 * DAY_MS), ...options, format: 'armored' });
}

const [alice, bob] = await Promise.all([pair(), pair({ type: 'ecc', curve: 'nistP256' })]);

async function usable(entries: Readonly<Record<string, string>>): Promise<UsableRecipients> {
  const read = await readRecipients(entries, NOW);
  assert.ok(read.kind === 'Usable', read.kind === 'Unusable' ? read.message : read.kind);
  return read;
}

async function opened(message: string, armoredKey: string): Promise<unknown> {
  const decryptionKeys = await readPrivateKey({ armoredKey });
  const { data } = await decrypt({ message: await readMessage({ armoredMessage: message }), decryptionKeys });
  return data;
}

test('each recipient alone can read what is encrypted; fingerprints are of primary keys, sorted, each once', async () => {
  const { fingerprints, encrypt } = await usable({ alice: alice.publicKey, bob: bob.publicKey, again: bob.publicKey });
  const expected = await Promise.all(
    [alice, bob].map(async ({ privateKey }) => (await readPrivateKey({ armoredKey: privateKey })).getFingerprint()),
  );
  assert.deepEqual(fingerprints, expected.map((one) => one.toUpperCase()).sort());
  const text = '{"k":"ä"}\n';
  const message = await encrypt(text);
  assert.equal(await opened(message, alice.privateKey), text);
  assert.equal(await opened(message, bob.privateKey), text);
  assert.equal((await readMessage({ armoredMessage: message })).getEncryptionKeyIDs().length, 2);
  const { privateKey } = await pair();
  await assert.rejects(opened(message, privateKey));
});

test('RSA of 3072 bits, and keys that expire within the hour', async () => {
  for (const options of [{ type: 'rsa', rsaBits: 3072 }, { keyExpirationTime: 10 * 86_400 + 3600 }] as const) {
    const { publicKey, privateKey } = await pair(options);
    assert.equal(await opened(await (await usable({ publicKey })).encrypt('text'), privateKey), 'text');
  }
});

test('AES-256 and no AEAD, whatever the keys of the recipients prefer: gpg 2.2 knows no other', async () => {
  const config = { aeadProtect: true, preferredSymmetricAlgorithm: enums.symmetric.aes128 };
  const { publicKey, privateKey } = await pair({ config });
  const message = await readMessage({ armoredMessage: await (await usable({ publicKey })).encrypt('text') });
  const { packets } = message as unknown as { packets: readonly { version?: number }[] };
  assert.deepEqual(
    Array.from(packets, ({ version }) => version),
    [3, 1],
  );
  const [sessionKey] = await decryptSessionKeys({
    message,
    decryptionKeys: await readPrivateKey({ armoredKey: privateKey }),
  });
  assert.equal(sessionKey?.algorithm, 'aes256');
});

const expired = await pair({ keyExpirationTime: 9 * 86_400 });
const revoked = await revokeKey({
  key: await readPrivateKey({ armoredKey: alice.privateKey }),
  date: new Date(NOW - DAY_MS),
  format: 'armored',
});
const weak = await pair({ type: 'rsa', rsaBits: 1024, config: { minRSABits: 1024 } });
const signing = await pair({ type: 'ecc', curve: 'ed25519Legacy', subkeys: [{ sign: true }] });
const lateSubkey = await pair({ subkeys: [{ keyExpirationTime: 86_400 }] });
const version6 = await pair({ type: 'curve25519', config: { v6Keys: true } });
const tomorrow = await pair({ date: new Date(NOW + DAY_MS) });

/** A key that is valid but for the point in its subkey, which is none. */
async function pointless(): Promise<string> {
  const date = new Date(NOW - DAY_MS);
  const userIDs = [{ name: 'a' }];
  const { privateKey } = await generateKey({ userIDs, date, format: 'object' });
  const subkey = privateKey.subkeys[0]!.keyPacket as unknown as { publicParams: { Q: Uint8Array } };
  subkey.publicParams.Q.fill(0, 1);
  return (await reformatKey({ privateKey, userIDs, date, format: 'armored' })).publicKey;
}

/** A key of DSA (RFC 9580 §5.5.5.2) with 8192 bits in each number, and a signature that looks worth checking. */
function slowKey(): string {
  const number = Buffer.concat([Buffer.from([0x20, 0x00]), Buffer.alloc(1024, 0xff)]);
  const smaller = Buffer.concat([number.subarray(0, 2), Buffer.alloc(1024, 0x81)]);
  const time = Buffer.alloc(4);
  time.writeUInt32BE(NOW / 1000 - 60);
  const key = Buffer.concat([Buffer.from([4]), time, Buffer.from([17]), number, number, smaller, smaller]);
  const hashedKey = Buffer.concat([Buffer.from([0x99, key.length >> 8, key.length & 255]), key]);
  const fingerprint = createHash('sha1').update(hashedKey).digest();
  const user = Buffer.from('a');
  const hashed = Buffer.concat([Buffer.from([5, 2]), time, Buffer.from([22, 33, 4]), fingerprint]);
  const head = Buffer.concat([Buffer.from([4, 0x13, 17, 8, 0, hashed.length]), hashed]);
  const digest = createHash('sha256')
    .update(Buffer.concat([hashedKey, Buffer.from([0xb4, 0, 0, 0, user.length]), user, head]))
    .update(Buffer.from([4, 0xff, 0, 0, 0, head.length]))
    .digest();
  const issuer = Buffer.concat([Buffer.from([0, 10, 9, 16]), fingerprint.subarray(12)]);
  const signature = Buffer.concat([head, issuer, digest.subarray(0, 2), smaller, Buffer.from([0, 2, 2])]);
  const packets = (
    [
      [6, key],
      [13, user],
      [2, signature],
    ] as const
  ).flatMap(([tag, body]) => [Buffer.from([0xc0 | tag, 0xff, 0, 0, body.length >> 8, body.length & 255]), body]);
  return armor(enums.armor.publicKey, new Uint8Array(Buffer.concat(packets)));
}

const refused: readonly { name: string; value: string; says: RegExp }[] = [
  { name: 'text', value: 'alice@example.com', says: /is no OpenPGP public key .*write what `gpg --armor --export/ },
  { name: 'nothing', value: '', says: /is no OpenPGP public key/ },
  { name: 'a key cut short', value: alice.publicKey.slice(0, 300), says: /is no OpenPGP public key/ },
  {
    name: 'a message',
    value: await (await usable({ alice: alice.publicKey })).encrypt('x'),
    says: /no OpenPGP public/,
  },
  {
    name: 'a private key',
    value: alice.privateKey,
    says: /is a PRIVATE key: take it away at once, treat it as leaked/,
  },
  {
    name: 'a private key that says it is public',
    value: alice.privateKey.replaceAll('PRIVATE', 'PUBLIC'),
    says: /is a PRIVATE key/,
  },
  {
    name: 'a private key too long to be read',
    value: `${'x'.repeat(17_000)}\n${alice.privateKey}`,
    says: /is a PRIVATE key/,
  },
  { name: 'two blocks', value: `${alice.publicKey}${bob.publicKey}`, says: /holds several keys; give each its own/ },
  { name: 'more than 16 KiB', value: 'x'.repeat(16_385), says: /is longer than 16384 bytes; .*export-minimal/ },
  {
    name: 'expired',
    value: expired.publicKey,
    says: /is key [0-9A-F]{40}, which expired at 2025-12-31T00:00:00.000Z; extend it \(gpg --quick-set-expire [0-9A-F]{40}/,
  },
  { name: 'revoked', value: revoked.publicKey, says: /is key [0-9A-F]{40}, which is revoked; write the key that took/ },
  { name: 'RSA of 1024 bits', value: weak.publicKey, says: /cannot be encrypted to \(.*2047 bits .*too weak/ },
  {
    name: 'no subkey that encrypts',
    value: signing.publicKey,
    says: /cannot be encrypted to .*--quick-add-key [0-9A-F]{40}/,
  },
  { name: 'an expired subkey', value: lateSubkey.publicKey, says: /cannot be encrypted to/ },
  {
    name: 'a subkey that is no point of its curve',
    value: await pointless(),
    says: /cannot be encrypted to \(Error enc/,
  },
  {
    name: 'Ed25519 as RFC 9580 has it',
    value: (await pair({ type: 'curve25519' })).publicKey,
    says: /has a key of ed25519; write one of RSA, or of a curve that gpg 2\.2 knows alone/,
  },
  { name: 'version 6', value: version6.publicKey, says: /is of version 6, which gpg cannot read/ },
  { name: 'made tomorrow', value: tomorrow.publicKey, says: /cannot be encrypted to \(.*in the future/ },
];

for (const { name, value, says } of refused) {
  test(`refused: ${name}; the entry is named, the others do not save it`, async () => {
    const read = await readRecipients({ 'good.asc': bob.publicKey, 'bad.asc': value }, NOW);
    assert.ok(read.kind === 'Unusable');
    assert.match(read.message, /^entry "bad\.asc" /);
    assert.match(read.message, says);
    assert.doesNotMatch(read.message, /[\p{C}]/u);
  });
}

test('DSA is refused before it is computed: this key of 8 KB blocked everything for seconds', async () => {
  const read = await readRecipients({ 'bad.asc': slowKey() }, NOW);
  assert.ok(read.kind === 'Unusable');
  assert.match(read.message, /^entry "bad\.asc" is key [0-9A-F]{40}, which has a key of dsa; write one of RSA/);
});

test('entries that together are longer than 64 KiB are refused unread', async () => {
  const many = Object.fromEntries(Array.from({ length: 5 }, (_, number) => [`r${number}`, 'x'.repeat(16_384)]));
  const message = 'is longer than 65536 bytes; add --export-options export-minimal to gpg --export';
  assert.deepEqual(await readRecipients(many, NOW), { kind: 'Unusable', message });
});

test('all problems are said at once', async () => {
  const read = await readRecipients({ b: 'text', a: expired.publicKey }, NOW);
  assert.ok(read.kind === 'Unusable');
  assert.match(read.message, /^entry "a" is key .*; entry "b" is no OpenPGP public key/);
});

test('no recipient, or more than 16: refused', async () => {
  const many = Object.fromEntries(Array.from({ length: 17 }, (_, number) => [`r${number}`, bob.publicKey]));
  assert.deepEqual(await readRecipients(many, NOW), { kind: 'Unusable', message: 'has 17 entries; at most 16' });
  const none = await readRecipients({}, NOW);
  assert.ok(none.kind === 'Unusable');
  assert.match(none.message, /has no entry; write one public key for each recipient/);
});

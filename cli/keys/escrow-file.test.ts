import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import { escrowKeyring } from '../../operator/escrow/escrow-keys.ts';
import { fakeRecipients } from '../../operator/signing-keys/testing/fake-recipients.ts';
import { encodeEscrow } from '../../policy/keys/escrow-document.ts';
import { QuietKeySet } from '../../policy/keys/testing/fixtures.ts';
import { readEscrowFile } from './escrow-file.ts';

const scratch = await mkdtemp(join(tmpdir(), 'portcullis-escrow-file-'));
after(() => rm(scratch, { recursive: true }));

const keySet = new QuietKeySet();
keySet.settle();
const escrow = await escrowKeyring(keySet.ring, null, fakeRecipients('A'));
const NAME = 'auth.trading-escrow';
const data = Object.fromEntries(
  Object.entries(encodeEscrow(escrow)).map(([file, text]) => [file, Buffer.from(text).toString('base64')]),
);
const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: NAME, resourceVersion: '7' }, data };
const other = { ...secret, metadata: { name: 'auth.other-escrow' } };
const list = {
  apiVersion: 'v1',
  kind: 'List',
  items: [{ kind: 'ConfigMap', metadata: { name: NAME } }, other, secret],
};

async function read(text: string) {
  const path = join(scratch, 'file');
  await writeFile(path, text);
  return readEscrowFile(path, NAME);
}

for (const [name, text] of [
  ['YAML', stringify(secret)],
  ['JSON', JSON.stringify(secret, null, 4)],
  ['a list in YAML', stringify(list)],
  ['a list in JSON', JSON.stringify(list)],
] as const) {
  test(`as kubectl prints it: ${name}`, async () => assert.deepEqual(await read(text), escrow));
}

const refused: readonly { name: string; text: string; code?: string; says: RegExp }[] = [
  {
    name: 'nothing',
    text: '',
    says: /holds no Secret auth\.trading-escrow, but nothing; give the escrow Secret as kubectl/,
  },
  { name: 'text', text: 'hello', says: /but nothing/ },
  { name: 'not YAML', text: '{"kind": "Secret"', says: /cannot be read: .*; give/ },
  { name: 'another Secret', text: stringify(other), says: /but Secret auth\.other-escrow;/ },
  { name: 'items that are none', text: '{"items": [null, 3, {}]}', says: /but undefined undefined/ },
  {
    name: 'no index',
    text: stringify({ ...secret, data: {} }),
    code: 'keyring_invalid',
    says: /Secret auth\.trading-escrow is damaged: document must be JSON/,
  },
  {
    name: 'an index that is damaged',
    text: stringify({ ...secret, data: { 'escrow.json': Buffer.from('{"format":1}').toString('base64') } }),
    code: 'keyring_invalid',
    says: /is damaged: format: must be one of/,
  },
];

for (const { name, text, code = 'config_invalid', says } of refused) {
  test(`refused: ${name}`, async () => {
    await assert.rejects(read(text), (error: Error & { code?: string }) => {
      assert.equal(error.code, code);
      assert.match(error.message, says);
      return true;
    });
  });
}

test('no such file', async () => {
  await assert.rejects(readEscrowFile(join(scratch, 'none'), NAME), /none cannot be read: ENOENT/);
});

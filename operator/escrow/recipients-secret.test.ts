import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateKey } from 'openpgp';
import { LABELS } from '../../policy/api/names.ts';
import { SECRETS } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { recipientsInSecret } from './recipients-secret.ts';

const OPS = { namespace: 'auth', name: 'ops' };
const NOW = Date.parse('2030-01-01T00:00:00Z');
const ALLOWED = { [LABELS.allowReference]: 'true' };

const { publicKey } = await generateKey({
  userIDs: [{ name: 'ops' }],
  date: new Date(NOW - 1000),
  format: 'armored',
});

async function readFrom(labels: Readonly<Record<string, string>> | null, data?: Readonly<Record<string, string>>) {
  const client = new MemoryKubeClient();
  const encoded = Object.entries(data ?? {}).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  if (labels !== null) {
    await client.create(SECRETS, { metadata: { ...OPS, labels }, ...(data && { data: Object.fromEntries(encoded) }) });
  }
  return recipientsInSecret(client, OPS, NOW);
}

test('public keys in a labelled Secret can be encrypted to', async () => {
  const found = await readFrom(ALLOWED, { 'ops.asc': publicKey });
  assert(found.kind === 'Usable', JSON.stringify(found));
  assert.equal(found.fingerprints.length, 1);
  assert.match(await found.encrypt('x'), /^-----BEGIN PGP MESSAGE-----/);
});

const refused: readonly {
  name: string;
  labels: Readonly<Record<string, string>> | null;
  data?: Readonly<Record<string, string>>;
  says: RegExp;
}[] = [
  { name: 'no Secret', labels: null, says: /^Secret auth\/ops does not exist; write one armoured OpenPGP public key/ },
  {
    name: 'no label',
    labels: {},
    data: { 'ops.asc': publicKey },
    says: /^Secret auth\/ops may not be referred to; label it portcullis.dev\/allow-reference=true$/,
  },
  {
    name: 'a label that says no',
    labels: { [LABELS.allowReference]: 'false' },
    data: { 'ops.asc': publicKey },
    says: /may not be referred to/,
  },
  {
    name: 'a Secret of ours that somebody labelled',
    labels: { ...ALLOWED, [LABELS.holds]: 'key-set-exports' },
    data: { keys: 'a secret' },
    says: /^Secret auth\/ops is one that Portcullis writes; name one with public keys only$/,
  },
  { name: 'no entry', labels: ALLOWED, says: /^Secret auth\/ops has no entry; write one public key/ },
  { name: 'no key', labels: ALLOWED, data: { ops: 'hunter2' }, says: /^Secret auth\/ops entry "ops" / },
];

for (const { name, labels, data, says } of refused) {
  test(`${name}: said, with what to do and without what is in it`, async () => {
    const found = await readFrom(labels, data);
    assert(found.kind === 'Unusable');
    assert.match(found.message, says);
    assert.ok(!/hunter2|a secret/.test(found.message));
  });
}

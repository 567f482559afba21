import assert from 'node:assert/strict';
import { beforeEach, it } from 'node:test';
import { SECRETS } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { type Authority, CERTIFICATE_TIMES, withLeaf } from './certificates.ts';
import { certificateSecret } from './certificates-secret.ts';
import { watchServerCertificate } from './certificates-served.ts';
import { makeAuthority, makeLeaf } from './certificates-x509.ts';

const KEY = { namespace: 'portcullis-system', name: 'webhook' };
const START = Date.UTC(2026, 0, 1);

let client: MemoryKubeClient;
let authority: Authority;
let used: string[];
let damaged: number;

const newLeaf = () => makeLeaf(authority, ['webhooks'], START, CERTIFICATE_TIMES);
const watch = () =>
  watchServerCertificate(
    client.cache(SECRETS),
    KEY,
    ({ certificate }) => used.push(certificate),
    () => damaged++,
  );

beforeEach(async () => {
  client = new MemoryKubeClient();
  authority = await makeAuthority(START, CERTIFICATE_TIMES);
  [used, damaged] = [[], 0];
});

it('hands over what is there, and what comes later, each once', async () => {
  const [first, second] = [await newLeaf(), await newLeaf()];
  const secret = (leaf: typeof first) =>
    certificateSecret(KEY, withLeaf({ authorities: [authority], leaf }, leaf), null);
  await client.create(SECRETS, secret(first));
  const end = watch();
  assert.deepEqual(used, [first.certificate]);
  await client.patch(SECRETS, KEY, { metadata: { labels: { a: 'b' } } });
  await client.create(SECRETS, { ...secret(second), metadata: { ...KEY, name: 'other' } });
  assert.deepEqual(used, [first.certificate]);
  await client.replace(SECRETS, secret(second));
  assert.deepEqual(used, [first.certificate, second.certificate]);
  end();
  await client.replace(SECRETS, secret(first));
  assert.equal(used.length, 2);
});

it('reads what cert-manager writes: a chain, its key, and the authority', async () => {
  const leaf = await newLeaf();
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const chain = leaf.certificate + authority.certificate;
  const data = {
    'tls.crt': base64(chain),
    'tls.key': base64(leaf.privateKey),
    'ca.crt': base64(authority.certificate),
  };
  await client.create(SECRETS, { metadata: KEY, type: 'kubernetes.io/tls', data });
  watch();
  assert.deepEqual(used, [chain]);
});

it('waits for a Secret that holds no certificate yet', async () => {
  await client.create(SECRETS, certificateSecret(KEY, { authorities: [authority], leaf: null }, null));
  watch();
  assert.deepEqual([used.length, damaged], [0, 0]);
  const leaf = await newLeaf();
  await client.replace(SECRETS, certificateSecret(KEY, { authorities: [authority], leaf }, null));
  assert.deepEqual(used, [leaf.certificate]);
  await client.patch(SECRETS, KEY, { data: { 'tls.crt': '' } });
  assert.equal(damaged, 1, 'half of it is damaged');
});

it('keeps what it has when the Secret is damaged or gone', async () => {
  const leaf = await newLeaf();
  await client.create(SECRETS, certificateSecret(KEY, { authorities: [authority], leaf }, null));
  watch();
  await client.patch(SECRETS, KEY, { data: { 'tls.key': 'AAAA' } });
  assert.deepEqual([used.length, damaged], [1, 1]);
  await client.delete(SECRETS, KEY);
  assert.deepEqual([used.length, damaged], [1, 1]);
});

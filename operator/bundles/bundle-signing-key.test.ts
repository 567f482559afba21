import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { BUNDLE_SIGNING_KEY_SECRET, LABELS } from '../../policy/api/names.ts';
import { testPrivateKey } from '../../policy/bundle/testing/example-bundles.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { SECRETS, type Secret } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { loadBundleSigningKey } from './bundle-signing-key.ts';

const at = { namespace: 'portcullis', name: BUNDLE_SIGNING_KEY_SECRET };
const load = (client: MemoryKubeClient, fill = 1) =>
  loadBundleSigningKey(client, at.namespace, () => testPrivateKey(fill));

describe('bundle signing key', () => {
  it('is made when there is none, and is the same ever after', async () => {
    const client = new MemoryKubeClient();
    const made = await load(client);
    assert.equal((await load(client, 2)).spki, made.spki);
    const secret = await client.get(SECRETS, at);
    assert.equal(secret?.metadata.labels?.[LABELS.holds], 'bundle-signing-key');
    assert.equal(secret?.immutable, true);
    const der = Buffer.from(made.spki, 'base64');
    assert.ok(createPublicKey({ key: der, format: 'der', type: 'spki' }).equals(made.publicKey));
  });

  it('is one for all who start at once', async () => {
    const client = new MemoryKubeClient();
    const keys = await Promise.all([1, 2, 3].map((fill) => load(client, fill)));
    assert.equal(new Set(keys.map(({ spki }) => spki)).size, 1);
    assert.equal(client.requests.filter(({ verb }) => verb === 'create').length, 3);
  });

  const { privateKey: ec } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const cut = String(testPrivateKey(1).export({ format: 'pem', type: 'pkcs8' })).slice(0, 70);
  const damaged: readonly [name: string, data: Secret['data']][] = [
    ['nothing in it', undefined],
    ['another key', { 'tls.key': 'AAAA' }],
    ['cut off', { 'ed25519.pem': Buffer.from(cut).toString('base64') }],
    ['no Ed25519', { 'ed25519.pem': Buffer.from(ec.export({ format: 'pem', type: 'pkcs8' })).toString('base64') }],
  ];
  for (const [name, data] of damaged) {
    it(`is refused and left alone: ${name}`, async () => {
      const client = new MemoryKubeClient();
      const before = await client.create(SECRETS, { metadata: at, ...(data && { data }) });
      await assert.rejects(load(client), (error) => {
        assert.ok(error instanceof PortcullisError);
        assert.equal(error.code, 'key_refused');
        assert.match(error.message, /portcullis\/portcullis-bundle-signing-key.*restore it/);
        assert.ok(!error.message.includes('BEGIN'));
        assert.equal(error.cause, undefined);
        return true;
      });
      assert.deepEqual(await client.get(SECRETS, at), before);
    });
  }
});

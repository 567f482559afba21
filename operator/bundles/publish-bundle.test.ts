import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { LABELS } from '../../policy/api/names.ts';
import { bundleHash } from '../../policy/bundle/decode.ts';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import {
  exampleAccessBundle,
  exampleLimitsBundle,
  testPrivateKey,
} from '../../policy/bundle/testing/example-bundles.ts';
import type { ObjectCache } from '../kube/kube-client.ts';
import { SECRETS, type Secret } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { createBundleSerials } from './bundle-serials.ts';
import { type BundlePublisher, createBundlePublisher } from './publish-bundle.ts';
import { OPERATOR_NAMESPACE, testSigningKey } from './testing/signing-key.ts';

const NOW = 1_700_000_000_000;
const { serial: _, ...content } = exampleAccessBundle;
const at = { namespace: 'trading', name: 'portcullis-access-orders' };
const owner = { apiVersion: 'portcullis.dev/v1alpha1', kind: 'AccessPolicy', name: 'orders', uid: 'policy-1' };

describe('publishing a bundle', () => {
  let client: MemoryKubeClient;
  let bundles: ObjectCache<Secret>;
  let acknowledged: number;
  let publisher: BundlePublisher;

  async function newPublisher(): Promise<BundlePublisher> {
    const serials = createBundleSerials(client, OPERATOR_NAMESPACE, () => NOW);
    const signingKey = await testSigningKey(client);
    return createBundlePublisher({ client, bundles, signingKey, serials, highestSerial: () => acknowledged });
  }

  beforeEach(async () => {
    client = new MemoryKubeClient();
    bundles = client.cache(SECRETS, ({ metadata }) => metadata.labels?.[LABELS.holds] === 'bundle');
    acknowledged = 0;
    publisher = await newPublisher();
    client.requests.length = 0;
  });

  const stored = async () => (await client.get(SECRETS, at))!;
  const writes = () => client.requests.filter(({ verb }) => verb !== 'get');

  it('writes it as ours, and then makes no request', async () => {
    const published = await publisher.publish(content, owner);
    assert.equal(published?.serial, NOW);
    assert.equal(published?.written, true);
    const { metadata, type } = await stored();
    assert.deepEqual(metadata.labels, {
      [LABELS.holds]: 'bundle',
      [LABELS.ownerNamespace]: 'trading',
      [LABELS.ownerName]: 'orders',
    });
    assert.deepEqual(metadata.ownerReferences, [owner]);
    assert.equal(type, 'Opaque');

    client.requests.length = 0;
    assert.deepEqual(await publisher.publish(content, owner), { ...published, written: false });
    assert.deepEqual(await (await newPublisher()).publish(content, owner), { ...published, written: false });
    assert.deepEqual(writes(), []);
  });

  it('gives every change a higher serial, of both kinds', async () => {
    const first = await publisher.publish(content, owner);
    const second = await publisher.publish({ ...content, mode: 'Shadow' }, owner);
    assert.ok(second!.serial > first!.serial);
    const { serial, ...limits } = exampleLimitsBundle;
    const other = await publisher.publish(limits, { ...owner, kind: 'RateLimitPolicy', name: 'standard' });
    assert.ok(other!.serial > second!.serial);
    assert.ok(await client.get(SECRETS, { namespace: 'trading', name: 'portcullis-limits-standard' }));
  });

  type Change = (secret: Secret) => Secret;
  const withFile = (file: Uint8Array): Change => {
    const data = { [BUNDLE_FILE]: Buffer.from(file).toString('base64') };
    return (secret) => ({ ...secret, data });
  };
  const labelled =
    (labels: Record<string, string>): Change =>
    (secret) => ({ ...secret, metadata: { ...secret.metadata, labels } });
  const signedBy = (fill: number, change: object) =>
    withFile(encodeBundle({ ...exampleAccessBundle, ...change }, testPrivateKey(fill)));
  const ours = { [LABELS.holds]: 'bundle' };

  const tampered: readonly [name: string, change: Change, code: string | null][] = [
    ['another key', signedBy(2, { serial: NOW + 5 }), 'bundle_unsigned'],
    ["another policy's", signedBy(1, { name: 'open', serial: NOW + 5 }), 'bundle_foreign'],
    ['an older one of ours', signedBy(1, { serial: NOW - 5, mode: 'Shadow' }), 'bundle_older'],
    ['an older one with the same content', signedBy(1, { serial: NOW - 5 }), 'bundle_older'],
    ['no bundle', withFile(Buffer.from('{}')), 'bundle_corrupt'],
    ['a file that is too large', withFile(Buffer.alloc(901 * 1024)), 'bundle_too_large'],
    ['emptied', (secret) => ({ ...secret, data: {} }), null],
    ['labelled for reference', labelled({ ...ours, [LABELS.allowReference]: 'true' }), null],
    ['label taken away', labelled({}), null],
    ['no owner', (secret) => ({ ...secret, metadata: { ...secret.metadata, ownerReferences: [] } }), null],
    [
      'made anew as immutable',
      (secret) => ({ ...withFile(Buffer.from('x'))(secret), immutable: true }),
      'bundle_corrupt',
    ],
  ];
  for (const [name, change, code] of tampered) {
    it(`restores what was changed: ${name}`, async () => {
      const before = await publisher.publish(content, owner);
      await client.replace(SECRETS, change(await stored()));
      const restored = await publisher.publish(content, owner);
      assert.equal(restored?.tampered, code);
      assert.equal(restored?.written, true);
      assert.ok(restored!.serial > before!.serial);
      const { metadata, immutable, type } = await stored();
      assert.equal(metadata.labels?.[LABELS.holds], 'bundle');
      assert.equal(metadata.labels?.[LABELS.allowReference], undefined);
      assert.deepEqual([metadata.ownerReferences, immutable, type], [[owner], undefined, 'Opaque']);
      assert.equal((await publisher.publish(content, owner))?.written, false);
    });
  }

  it('writes a deleted one again, with a higher serial', async () => {
    const before = await publisher.publish(content, owner);
    await client.delete(SECRETS, at);
    assert.ok((await publisher.publish(content, owner))!.serial > before!.serial);
  });

  it('goes above what pods say they run, though the Secret is as it should be', async () => {
    await publisher.publish(content, owner);
    acknowledged = NOW + 100;
    const published = await (await newPublisher()).publish(content, owner);
    assert.equal(published?.serial, NOW + 101);
    acknowledged = NOW + 101;
    assert.equal((await publisher.publish(content, owner))?.written, false);
  });

  it('takes over from a policy of that name that is gone', async () => {
    await publisher.publish(content, owner);
    await publisher.publish(content, { ...owner, uid: 'policy-2' });
    assert.equal((await stored()).metadata.ownerReferences?.[0]?.uid, 'policy-2');
  });

  it("leaves a user's Secret of that name alone", async () => {
    const users = await client.create(SECRETS, { metadata: at, data: { mine: 'AAAA' } });
    assert.equal(await publisher.publish(content, owner), null);
    assert.deepEqual(await stored(), users);
  });

  it('refuses to write what is too large', async () => {
    const permissions = Array.from({ length: 60_000 }, (_, index) => bundleHash(Buffer.from(String(index))));
    const large = { ...content, roles: [{ name: 'r', permissions }] };
    await assert.rejects(publisher.publish(large, owner), { code: 'bundle_too_large' });
  });

  it('reads what is there without a request', async () => {
    const policy = { kind: 'Access', namespace: 'trading', name: 'orders' } as const;
    assert.equal(publisher.read(policy), null);
    await publisher.publish(content, owner);
    client.requests.length = 0;
    const reading = publisher.read(policy);
    assert.ok(typeof reading === 'object' && reading?.bundle.serial === NOW);
    assert.deepEqual(client.requests, []);
  });
});

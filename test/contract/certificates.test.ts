import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CERTIFICATE_TIMES } from '../../operator/injection/certificates.ts';
import { makeAuthority, makeLeaf } from '../../operator/injection/certificates-x509.ts';
import { connectKubeClient, type HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { ObjectStore } from '../../operator/kube/object-store.ts';
import { NAMESPACES, type Namespace, SECRETS, SERVICES, type Service } from '../../operator/kube/objects.ts';
import { createCertificateKeeper, hasCertManager } from '../../operator/workloads/certificate-keeper.ts';
import { CERTIFICATES } from '../../operator/workloads/certificates.ts';
import { loadCertificate } from '../../sidecar/tls/certificate-source.ts';
import { apiServerFor } from '../cluster/require-api-server.ts';
import { installCertManagerCrd } from './cert-manager-crd.ts';

const SHOP = 'shop';
const KEY = { namespace: SHOP, name: 'portcullis-tls-web' };

test('Certificates of tls-issuer on a kube-apiserver', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  const client = connectKubeClient(loadKubeConfig({ path: server.kubeconfig }));
  t.after(() => client.close());
  await client.create(NAMESPACES, { metadata: { name: SHOP } });
  await client.create(SERVICES, asking());
  const world = await openWorld(client);

  await t.test('without cert-manager says so, and goes on', async () => {
    assert.deepEqual(await world.keeper(SHOP), { afterMs: 60_000 });
    assert.deepEqual(world.events, ['CertManagerMissing']);
    assert.equal(await hasCertManager(client, SHOP), false);
  });
  await installCertManagerCrd(server);
  await t.test('asks for a certificate that the sidecar can serve', (t) => issues(t, client, world));
  await t.test('writes it once, and again when somebody changes it', () => keeps(client, world));
  await t.test('is collected with its Service: the owner is the Service', async () => {
    const service = await client.get(SERVICES, { namespace: SHOP, name: 'web' });
    const { ownerReferences } = (await client.get(CERTIFICATES, KEY))!.metadata;
    assert.deepEqual(
      ownerReferences?.map(({ kind, uid }) => [kind, uid]),
      [['Service', service?.metadata.uid]],
    );
  });
  await t.test('deletes it when nobody asks any more', async () => {
    const annotations = { 'portcullis.dev/tls-issuer': null };
    await client.patch(SERVICES, { namespace: SHOP, name: 'web' }, { metadata: { annotations } });
    await world.refresh();
    await world.keeper(SHOP);
    assert.equal(await client.get(CERTIFICATES, KEY), null);
  });
});

type World = Awaited<ReturnType<typeof openWorld>>;

function asking(): Service {
  const annotations = {
    'portcullis.dev/access-policy': 'orders',
    'portcullis.dev/tls-issuer': 'ClusterIssuer/internal-ca',
  };
  return {
    metadata: { name: 'web', namespace: SHOP, annotations },
    spec: { selector: { app: 'web' }, ports: [{ port: 443, targetPort: 'http' }] },
  };
}

/** Plays cert-manager: what the Certificate asks for is what comes in its Secret. */
async function issues(t: TestContext, client: HttpsKubeClient, world: World): Promise<void> {
  assert.equal(await hasCertManager(client, SHOP), true);
  assert.deepEqual(await world.keeper(SHOP), { afterMs: 600_000 });
  const { spec } = (await client.get(CERTIFICATES, KEY)) ?? assert.fail('there is no Certificate');
  assert.deepEqual(spec?.issuerRef, { name: 'internal-ca', kind: 'ClusterIssuer', group: 'cert-manager.io' });
  const authority = await makeAuthority(Date.now(), CERTIFICATE_TIMES);
  const leaf = await makeLeaf(authority, spec.dnsNames, Date.now(), CERTIFICATE_TIMES);
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const secret = await client.create(SECRETS, {
    metadata: { namespace: SHOP, name: spec.secretName },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': base64(leaf.certificate), 'tls.key': base64(leaf.privateKey) },
  });
  // As the kubelet mounts it.
  const directory = await mkdtemp(join(tmpdir(), 'portcullis-certificates-'));
  t.after(() => rm(directory, { recursive: true }));
  for (const [name, value] of Object.entries(secret.data ?? {}))
    await writeFile(join(directory, name), Buffer.from(value, 'base64'));
  const files = { cert: join(directory, 'tls.crt'), key: join(directory, 'tls.key'), name: '', advice: '' };
  assert.equal((await loadCertificate(files))?.notAfter, leaf.notAfter);
  assert.deepEqual(leaf.dnsNames, ['web.shop.svc', 'web.shop.svc.cluster.local']);
}

async function keeps(client: HttpsKubeClient, world: World): Promise<void> {
  const version = async () => (await client.get(CERTIFICATES, KEY))?.metadata.resourceVersion;
  const before = await version();
  await world.keeper(SHOP);
  assert.equal(await version(), before);
  await client.patch(CERTIFICATES, KEY, { spec: { dnsNames: ['other.example'] } });
  await world.keeper(SHOP);
  assert.deepEqual((await client.get(CERTIFICATES, KEY))?.spec?.dnsNames, [
    'web.shop.svc',
    'web.shop.svc.cluster.local',
  ]);
}

/** The keeper, with caches that are filled when the test says so. */
async function openWorld(client: HttpsKubeClient) {
  const fail = (error: unknown): never => {
    throw error;
  };
  const namespaces = new ObjectStore<Namespace>(fail);
  const services = new ObjectStore<Service>(fail);
  const events: string[] = [];
  const refresh = async (): Promise<void> => {
    namespaces.replaceAll((await client.list(NAMESPACES)).items);
    services.replaceAll((await client.list(SERVICES)).items);
  };
  await refresh();
  const record = ({ reason }: { readonly reason: string }) => void events.push(reason);
  const keeper = createCertificateKeeper({ client, namespaces, services, events: { record }, excluded: new Set() });
  return { keeper, refresh, events };
}

import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import { describe, it, test } from 'node:test';
import { Gauge, Registry } from 'prom-client';
import { currentSerials } from '../../operator/bundles/current-serials.ts';
import { keySetsPermittedTo } from '../../operator/bundles/policy-index.ts';
import { findingLines } from '../../operator/bundles/policy-status.ts';
import { bundleView, referableView, serviceView } from '../../operator/caches.ts';
import { inject, OPTIONS } from '../../operator/injection/testing/injected-pod.ts';
import { connectKubeClient } from '../../operator/kube/https-kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import {
  type ConfigMap,
  type KubeObject,
  type Namespace,
  type Pod,
  SECRETS,
  type Secret,
  type Service,
} from '../../operator/kube/objects.ts';
import { FakeClock } from '../../operator/kube/testing/fake-clock.ts';
import { MemoryKubeClient } from '../../operator/kube/testing/memory-kube-client.ts';
import type { CustomResource } from '../../operator/resources.ts';
import { httpStatusFetcher } from '../../operator/workloads/acknowledgement-fetch.ts';
import { Acknowledgements } from '../../operator/workloads/acknowledgements.ts';
import { Auditor } from '../../operator/workloads/auditor.ts';
import { auditPod } from '../../operator/workloads/auditor-finding.ts';
import { coverageOf } from '../../operator/workloads/coverage.ts';
import {
  coverageInput,
  exampleService,
  examplePod as plainPod,
} from '../../operator/workloads/testing/coverage-objects.ts';
import { cacheOf, examplePod, exampleStatus } from '../../operator/workloads/testing/example-pods.ts';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import { exampleAccessBundle, testPrivateKey } from '../../policy/bundle/testing/example-bundles.ts';
import { apiServerFor } from '../cluster/require-api-server.ts';

// Who holds the role `edit` in one namespace writes its pods, Services and Secrets. That must reach neither other namespaces
// nor the operator.

const ASK = { 'access-policy': 'orders' };
const privateKey = testPrivateKey(1);
const publicKey = createPublicKey(privateKey);
const { namespace, name: policy } = exampleAccessBundle;

function bundleSecret(serial: number, signedBy = privateKey, secretName = `portcullis-access-${policy}`): Secret {
  const file = encodeBundle({ ...exampleAccessBundle, serial }, signedBy);
  const metadata = {
    namespace,
    name: secretName,
    resourceVersion: `${serial}`,
    labels: { 'portcullis.dev/holds': 'bundle' },
  };
  return { metadata, type: 'Opaque', data: { [BUNDLE_FILE]: Buffer.from(file).toString('base64') } };
}

test('lists go on when a namespace is filled with the largest Secrets', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  const client = connectKubeClient(loadKubeConfig({ path: server.kubeconfig }));
  t.after(() => client.close());
  const data = { junk: Buffer.alloc(1_000_000).toString('base64') };
  for (let i = 0; i < 20; i++)
    await client.create(SECRETS, { metadata: { namespace: 'default', name: `s${i}` }, data });
  assert.equal((await client.list(SECRETS, { namespace: 'default' })).items.length, 20);
});

describe('of what users may fill up, little is kept', () => {
  const metadata = {
    namespace,
    name: 'a',
    labels: { ['x'.repeat(60)]: 'x', 'portcullis.dev/allow-reference': 'true' },
    annotations: { note: 'x'.repeat(200_000), 'portcullis.dev/skip-ports': 'x'.repeat(200_000) },
  };
  const size = (object: object) => JSON.stringify(object).length;

  it('Secrets that policies may refer to', () => {
    const url = Buffer.from('redis://redis').toString('base64');
    const ca = Buffer.from('-----BEGIN CERTIFICATE-----').toString('base64');
    const kept = referableView({ metadata, data: { url, 'ca.crt': ca } });
    assert.deepEqual(kept.data, { url, 'ca.crt': ca });
    assert.ok(size(kept) < 20_000);
    const most = { url, users: 'x'.repeat(262_144 - 'url'.length - url.length - 'users'.length) };
    assert.deepEqual(referableView({ metadata, data: most }).data, most);
    const large = 'x'.repeat(262_144);
    for (const data of [{ url, large }, { large }, { [large]: 'x' }])
      assert.deepEqual(
        referableView({ metadata, data }).data,
        {},
        'all of it, or none that somebody might take for all',
      );
  });

  it('Secrets labelled as bundles', () => {
    const foreign = bundleSecret(1, testPrivateKey(2));
    const junk = { ...foreign, data: { [BUNDLE_FILE]: 'A'.repeat(1_000_000), more: 'x'.repeat(100_000) } };
    for (const secret of [junk, { ...junk, metadata }]) assert.ok(size(bundleView(secret, publicKey)) < 25_000);
    assert.deepEqual(bundleView(bundleSecret(1), publicKey), bundleSecret(1));
  });

  it('Services', () => {
    const service = { metadata, spec: { selector: { app: 'a' }, ports: [{ port: 80 }], clusterIP: 'None' } };
    const kept = serviceView(service);
    assert.deepEqual(kept.spec, service.spec);
    assert.ok(size(kept) < 20_000);
  });
});

describe('a pod or Service that takes long to read holds nobody up', { timeout: 30_000 }, () => {
  const ports = Array.from({ length: 60_000 }, (_, i) => ({ containerPort: i + 1 }));
  const pod = (notes: Record<string, string>) => plainPod({ ...ASK, ...notes }, { containers: [{ name: 'a', ports }] });
  const entries = Array.from({ length: 30_000 }, (_, i) => `a${i}`).join();

  it('many ports, many Service ports, and many that are skipped', () => {
    const servicePorts = ports.map(({ containerPort }) => ({ port: containerPort, targetPort: containerPort }));
    const service = exampleService('web', { 'skip-ports': entries }, servicePorts);
    const input = coverageInput({ pod: pod({ 'skip-ports': entries }), services: [service], defaultCapture: 'Bind' });
    assert.equal(coverageOf(input).ports.length, ports.length);
  });

  it('many annotations and entries that are wrong', () => {
    const unknown = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`acces-polic${i}`, '']));
    const wrong = { 'skip-ports': entries.toUpperCase(), 'required-secrets': entries };
    const services = Array.from({ length: 20 }, (_, i) => exampleService(`s${i}`, { ...ASK, ...unknown, ...wrong }));
    const { warnings, settings } = coverageOf(coverageInput({ services }));
    assert.ok(warnings.length < 20 * 200, String(warnings.length));
    assert.ok(settings!.requiredSecrets.length <= 20 * 65);
  });

  it('what comes after the entries that are read counts as missing, and is not skipped', () => {
    const secrets = Array.from({ length: 65 }, (_, i) => `s${i}/k`).join();
    const input = coverageInput({ services: [exampleService('web', { ...ASK, 'required-secrets': secrets })] });
    assert.equal(coverageOf(input).reason, 'RequiredSecretMissing');
    const skipped = [...Array.from({ length: 64 }, (_, i) => `p${i}`), 'http'].join();
    const skipping = coverageInput({ services: [exampleService('web', { ...ASK, 'skip-ports': skipped })] });
    assert.equal(coverageOf(skipping).ports.length, 1);
  });
});

test('an older bundle that is put back is not what new pods start from', () => {
  const bundles = cacheOf<Secret>(bundleSecret(8));
  const serials = currentSerials(bundles, publicKey);
  bundles.set(bundleSecret(9));
  bundles.set({ ...bundleSecret(7), metadata: { ...bundleSecret(7).metadata, resourceVersion: '10' } });
  assert.deepEqual(serials(namespace, policy, null), { access: 9, limits: 0, issuer: 0 });
});

test('a container named portcullis of their own is no sidecar', () => {
  const initContainers = [{ name: 'portcullis', image: 'pause' }];
  const finding = auditPod({
    ...coverageInput({ pod: plainPod({}, { initContainers }), services: [exampleService('web', ASK)] }),
    injected: null,
    bundleKey: '',
    policyNames: { access: ['orders'], limits: [] },
  });
  assert.equal(finding?.kind, 'Unprotected');
  assert.match(finding?.message ?? '', /container named portcullis that was not injected/);
});

test('pods that never answer do not keep others from being asked', async (t) => {
  const clock = new FakeClock();
  const asked = new Set<string>();
  const silent = Array.from({ length: 1_000 }, (_, i) => examplePod(`silent-${i}`, { namespace: 'evil' }));
  const pods = cacheOf<Pod>(...silent);
  const acknowledgements = new Acknowledgements({
    ...{
      pods,
      nodes: cacheOf(),
      clock,
      random: () => 0.5,
      keySetsOf: () => [],
      onAsked: () => {},
      onFault: (_pod, error) => assert.fail(String(error)),
      onChange: () => {},
    },
    async fetch(address) {
      asked.add(address);
      if (address === '10.0.0.7') return exampleStatus({ serial: 1, hash: 'aa' });
      await new Promise<void>((resolve) => clock.after(2_000, resolve));
      throw new Error('no answer within 2 s');
    },
  });
  t.after(() => acknowledgements.stop());
  acknowledgements.expect({ kind: 'Access', namespace: 'evil', name: 'orders' }, { serial: 1, hash: 'aa' });
  await clock.advance(300_000);
  pods.set(examplePod('web', { status: { podIP: '10.0.0.7' } }));
  await clock.advance(60_000);
  assert.ok(asked.has('10.0.0.7'));
});

test('a pod that answers 101 to the operator is not waited for', { timeout: 10_000 }, async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { fetch, close } = httpStatusFetcher();
  t.after(() => {
    server.close();
    close();
  });
  await assert.rejects(fetch('127.0.0.1', (server.address() as AddressInfo).port), { message: 'no answer' });
});

test('what conditions quote of a policy does not reach a terminal as a control sequence', () => {
  const message = 'unknown role \u001b]0;x\u0007';
  const lines = findingLines([{ severity: 'error', code: 'Invalid', path: ['spec'], message }]);
  assert.equal(lines, 'spec: unknown role  ]0;x ');
});

test('a policy of one namespace does not hold up keys of another that it may not use', () => {
  const apiVersion = 'portcullis.dev/v1alpha1';
  const spec = { algorithm: 'ES256', issuer: 'https://a.example', audiences: ['a'], maxTokenLifetime: '1h' };
  const shared = { namespaceSelector: { matchLabels: { team: 'a' } } };
  const keySet = (name: string, more: object = {}): CustomResource => ({
    ...{ apiVersion, kind: 'SigningKeySet', metadata: { namespace: 'auth', name }, spec: { ...spec, ...more } },
  });
  const jwt = ['private', 'shared'].map((name) => ({ name, keySetRef: { name, namespace: 'auth' } }));
  const rules = [{ name: 'all', match: { paths: ['/**'] }, allow: [{ authenticated: true }] }];
  const policyOf = (home: string): CustomResource => ({
    ...{ apiVersion, kind: 'AccessPolicy', metadata: { namespace: home, name: 'p' } },
    spec: { authentication: { jwt }, rules },
  });
  const sources = {
    keySets: cacheOf(keySet('private'), keySet('shared', { usableFrom: shared })),
    ...{
      ownSecrets: cacheOf<Secret>(),
      referableSecrets: cacheOf<Secret>(),
      referableConfigMaps: cacheOf<ConfigMap>(),
    },
    namespaces: cacheOf<Namespace>(
      { metadata: { name: 'friend', labels: { team: 'a' } } },
      { metadata: { name: 'evil', labels: {} } },
    ),
    ...{ namespace: 'portcullis', defaults: { storeSecret: null, clientIp: { trustedHops: 0, trustedProxies: [] } } },
  };
  assert.deepEqual(keySetsPermittedTo(policyOf('evil'), sources), []);
  assert.deepEqual(keySetsPermittedTo(policyOf('friend'), sources), ['auth/shared']);
  assert.deepEqual(keySetsPermittedTo(policyOf('auth'), sources), ['auth/private', 'auth/shared']);
});

test('the auditor looks for few of the Secrets that a pod says it requires', async () => {
  const client = new MemoryKubeClient();
  const requiredSecrets = Array.from({ length: 60 }, (_, i) => `s${i}/k`).join();
  const annotations = {
    'portcullis.dev/access-policy': 'orders',
    'portcullis.dev/required-secrets': requiredSecrets,
  };
  const pod = examplePod('web', { metadata: { annotations }, injected: { refuse: ['RequiredSecretMissing'] } });
  const auditor = new Auditor({
    ...{ client, pods: cacheOf(pod), namespaces: cacheOf<Namespace>({ metadata: { name: 'shop' } }) },
    ...{ services: cacheOf<Service>(), rateLimitPolicies: cacheOf<KubeObject>() },
    accessPolicies: cacheOf<KubeObject>({ metadata: { namespace: 'shop', name: 'orders' } }),
    config: {
      defaults: { capture: 'Takeover', storeSecret: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
      evictUnprotected: true,
    },
    ...{ bundleKey: '0123456789abcdef', events: { record: () => {} }, clock: new FakeClock(), excluded: new Set() },
    unprotected: new Gauge({ name: 'unprotected', help: 'x', labelNames: ['namespace'], registers: [new Registry()] }),
    onChange: () => {},
  });
  await auditor.reconcile('shop/web');
  assert.equal(client.requests.filter(({ verb }) => verb === 'get').length, 16);
});

test('a port of the node that only the node reaches stays so', () => {
  const ports = [{ name: 'http', containerPort: 8000, hostPort: 8080, hostIP: '127.0.0.1' }];
  const pod = inject(
    plainPod({}, { containers: [{ name: 'app', image: 'a', ports }] }),
    [exampleService('web', ASK)],
    OPTIONS,
  );
  const moved = pod.spec?.initContainers?.[0]?.ports?.find(({ name }) => name === 'http');
  assert.deepEqual([moved?.hostPort, moved?.hostIP], [8080, '127.0.0.1']);
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { readOperatorConfig } from '../../operator/config-file.ts';
import { helmFor } from '../cluster/helm/helm-binary.ts';
import { documentsIn } from '../fixtures/resources/documents.ts';
import {
  CHART,
  EVERYTHING,
  findManifest,
  helmOnChart,
  type Manifest,
  NAMESPACE,
  RELEASE,
  renderChart,
} from './rendered-chart.ts';

const ENV = { POD_NAMESPACE: NAMESPACE, POD_NAME: 'portcullis-0' };

const operatorConfig = (manifests: readonly Manifest[]) =>
  readOperatorConfig(findManifest(manifests, 'ConfigMap')['data']['config.yaml'], ENV);

test('helm lint --strict finds nothing', async (t) => {
  const helm = await helmFor(t);
  if (!helm) return;
  for (const values of [{}, EVERYTHING]) {
    const { code, stdout, stderr } = await helmOnChart(helm, 'lint', values, '--strict', '--kube-version', '1.33.0');
    assert.equal(code, 0, stdout + stderr);
    assert.doesNotMatch(stdout, /\[(WARNING|ERROR)\]/);
  }
});

test('the operator is told the defaults', async (t) => {
  const helm = await helmFor(t);
  if (!helm) return;
  assert.deepEqual(operatorConfig(await renderChart(helm)), {
    namespace: NAMESPACE,
    podName: ENV.POD_NAME,
    sidecar: {
      image: 'portcullis-sidecar:0.1.0',
      imagePullPolicy: 'IfNotPresent',
      resources: { requests: { cpu: '50m', memory: '96Mi' }, limits: { memory: '256Mi' } },
      trafficPort: 14_180,
      adminPort: 14_181,
      egressPort: 14_182,
      userId: 64_180,
      appSleepSeconds: 5,
    },
    defaults: { capture: 'Takeover', storeSecret: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
    webhook: {
      port: 9443,
      serviceName: 'portcullis',
      mutatingConfiguration: 'portcullis',
      validatingConfiguration: 'portcullis',
      certificates: 'Own',
      certificateSecret: 'portcullis-webhook-certificates',
    },
    healthPort: 8080,
    jwks: { port: 8090, externalUrl: null },
    leaseName: 'portcullis',
    podPatchesPerSecond: 200,
    evictUnprotected: true,
  });
});

test('the operator is told every other value', async (t) => {
  const helm = await helmFor(t);
  if (!helm) return;
  const config = operatorConfig(await renderChart(helm, EVERYTHING));
  const { image, ...sidecar } = EVERYTHING.sidecar;
  assert.deepEqual(config.sidecar, {
    ...sidecar,
    image: 'images/sidecar:7',
    imagePullPolicy: image.pullPolicy,
    resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { cpu: '2', memory: '256Mi' } },
  });
  assert.deepEqual(config.defaults, {
    capture: 'Bind',
    storeSecret: 'redis',
    clientIp: EVERYTHING.defaults.clientIP,
  });
  assert.deepEqual(config.jwks, { port: 8091, externalUrl: EVERYTHING.jwks.externalUrl });
  const { webhook, healthPort, podPatchesPerSecond, evictUnprotected } = config;
  assert.deepEqual(
    { port: webhook.port, certificates: webhook.certificates, healthPort, podPatchesPerSecond, evictUnprotected },
    { port: 10_250, certificates: 'CertManager', healthPort: 8081, podPatchesPerSecond: 20, evictUnprotected: false },
  );
});

test('the names that the configuration tells are those of the objects', async (t) => {
  const helm = await helmFor(t);
  if (!helm) return;
  for (const values of [{}, EVERYTHING]) {
    const manifests = await renderChart(helm, values);
    const { webhook } = operatorConfig(manifests);
    const configurations = [
      findManifest(manifests, 'MutatingWebhookConfiguration', webhook.mutatingConfiguration),
      findManifest(manifests, 'ValidatingWebhookConfiguration', webhook.validatingConfiguration),
    ];
    for (const { clientConfig } of configurations.flatMap((configuration) => configuration['webhooks'])) {
      assert.equal(clientConfig.service.name, webhook.serviceName);
      assert.equal(clientConfig.caBundle, undefined, 'an upgrade would overwrite the caBundle of the operator');
    }
    findManifest(manifests, 'Service', webhook.serviceName);
    const certificates = manifests.filter(({ kind }) => kind === 'Certificate');
    assert.deepEqual(
      certificates.map(({ spec }) => spec.secretName),
      values === EVERYTHING ? [webhook.certificateSecret] : [],
    );
  }
});

test('public keys have a Service of their own, which leads to the port that the operator is told, or nothing of it is there', async (t) => {
  const helm = await helmFor(t);
  if (!helm) return;
  for (const values of [{}, EVERYTHING]) {
    const manifests = await renderChart(helm, values);
    const { jwks } = operatorConfig(manifests);
    const { spec } = findManifest(manifests, 'Service', `${RELEASE}-jwks`);
    assert.deepEqual(spec.ports, [{ name: 'jwks', port: values === EVERYTHING ? 8080 : 80, targetPort: 'jwks' }]);
    const { containers } = findManifest(manifests, 'Deployment')['spec'].template.spec;
    assert.deepEqual(containers[0].ports.at(-1), { name: 'jwks', containerPort: jwks?.port });
    const [{ ports }] = findManifest(manifests, 'NetworkPolicy')['spec'].ingress;
    assert.deepEqual(ports.at(-1), { port: jwks?.port, protocol: 'TCP' });
  }
  const without = await renderChart(helm, { jwks: { enabled: false } });
  assert.equal(operatorConfig(without).jwks, null);
  const rest = without.filter(({ kind }) => ['Service', 'Deployment', 'NetworkPolicy'].includes(kind));
  assert.equal(rest.length, 3);
  assert.doesNotMatch(JSON.stringify(rest), /jwks|8090/);
});

test('the CRDs are those of crds/, kept at uninstall', async (t) => {
  const helm = await helmFor(t);
  if (!helm) return;
  const rendered = (await renderChart(helm)).filter(({ kind }) => kind === 'CustomResourceDefinition');
  const expected = documentsIn(join(CHART, '../../crds')).map((crd) => ({
    ...crd,
    metadata: { annotations: { 'helm.sh/resource-policy': 'keep' }, ...crd.metadata },
  }));
  assert.equal(expected.length, 3);
  assert.deepEqual(rendered, expected);
  const without = await renderChart(helm, { crds: { install: false } });
  assert.ok(!without.some(({ kind }) => kind === 'CustomResourceDefinition'));
});

test('options show where they belong', async (t) => {
  const helm = await helmFor(t);
  if (!helm) return;
  const manifests = await renderChart(helm, EVERYTHING);
  const { spec, metadata } = findManifest(manifests, 'Deployment')['spec'].template;
  assert.equal(spec.containers[0].image, `images/operator@sha256:${'a'.repeat(64)}`);
  assert.equal(spec.priorityClassName, 'system-cluster-critical');
  assert.deepEqual(spec.imagePullSecrets, EVERYTHING.operator.imagePullSecrets);
  assert.match(metadata.annotations['checksum/config'], /^[0-9a-f]{64}$/);
  const rules = findManifest(manifests, 'ClusterRole')['rules'].flatMap(
    ({ resources }: { resources: string[] }) => resources,
  );
  assert.ok(
    !rules.includes('pods/eviction') && !rules.includes('mutatingwebhookconfigurations'),
    'asks for rights it has no use for',
  );
  for (const name of ['ServiceMonitor', 'PrometheusRule']) {
    assert.equal(findManifest(manifests, name).metadata.labels?.['prometheus'], 'main');
  }
  const alerts = parse(readFileSync(join(CHART, 'files/alerts.yaml'), 'utf8'));
  assert.deepEqual(findManifest(manifests, 'PrometheusRule')['spec'], alerts);
  const endpoint = findManifest(manifests, 'PodMonitor', 'portcullis-sidecars')['spec'].podMetricsEndpoints[0];
  assert.deepEqual(endpoint, { port: 'portcullis', interval: '15s' });

  const plain = await renderChart(helm, { operator: { replicas: 1 }, networkPolicy: { enabled: false } });
  const kinds = new Set(plain.map(({ kind }) => kind));
  for (const kind of [
    'PodDisruptionBudget',
    'NetworkPolicy',
    'ServiceMonitor',
    'PodMonitor',
    'PrometheusRule',
    'Certificate',
  ])
    assert.ok(!kinds.has(kind), kind);
});

const REFUSED: readonly (readonly [name: string, values: object, says: RegExp])[] = [
  ['a misspelt value', { operator: { replica: 3 } }, /'\/operator'.*'replica' not allowed/],
  ['a value in the wrong place', { replicas: 3 }, /'replicas' not allowed/],
  ['text for a number', { operator: { replicas: 'two' } }, /'\/operator\/replicas': got string, want integer/],
  ['no replica', { operator: { replicas: 0 } }, /'\/operator\/replicas': minimum: got 0, want 1/],
  ['another capture', { defaults: { capture: 'Redirect' } }, /'\/defaults\/capture'.*'Takeover', 'Bind'/],
  ['a privileged port', { webhook: { port: 443 } }, /'\/webhook\/port': minimum: got 443, want 1,?024/],
  ['root', { sidecar: { userId: 0 } }, /'\/sidecar\/userId': minimum: got 0, want 1/],
  ['a tag as a digest', { sidecar: { image: { digest: 'v1' } } }, /'\/sidecar\/image\/digest': 'v1' does not match/],
  [
    'an address for a range',
    { defaults: { clientIP: { trustedProxies: ['10.0.0.1'] } } },
    /trustedProxies\/0.*does not match/,
  ],
  [
    'cert-manager without an issuer',
    { webhook: { certificates: 'CertManager' } },
    /'\/webhook\/issuerRef': missing property 'name'/,
  ],
  [
    'one port for two things',
    { sidecar: { egressPort: 14_181 } },
    /sidecar\.adminPort and sidecar\.egressPort are the same; write two/,
  ],
  [
    'a host for a URL',
    { jwks: { externalUrl: 'keys.example.com' } },
    /'\/jwks\/externalUrl': 'keys.example.com' does not/,
  ],
  [
    'a URL with a slash at the end',
    { jwks: { externalUrl: 'https://k.example/' } },
    /'\/jwks\/externalUrl'.*does not match/,
  ],
  [
    'a number of seconds as the interval',
    { monitoring: { interval: '30' } },
    /'\/monitoring\/interval': '30' does not match/,
  ],
];

test('wrong values are refused with their place', async (t) => {
  const helm = await helmFor(t);
  if (!helm) return;
  for (const [name, values, says] of REFUSED) {
    await t.test(name, async () => {
      const { code, stderr } = await helmOnChart(helm, 'template', values, '--kube-version', '1.33.0');
      assert.equal(code, 1);
      assert.match(stderr, says);
    });
  }
});

test('Kubernetes before native sidecars is refused', async (t) => {
  const helm = await helmFor(t);
  if (!helm) return;
  const { code, stderr } = await helmOnChart(helm, 'template', {}, '--kube-version', '1.32.9');
  assert.equal(code, 1);
  assert.match(stderr, /requires kubeVersion: >=1\.33\.0/);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { readOperatorConfig } from '../../operator/config-file.ts';
import { startOperator } from '../../operator/start-operator.ts';
import { type InstalledChart, installedChart, list, operatorKubeConfig, succeeds } from './installed-chart.ts';
import { findManifest, NAMESPACE, RELEASE } from './rendered-chart.ts';

const OBJECTS = [
  {
    apiVersion: 'portcullis.dev/v1alpha1',
    kind: 'SigningKeySet',
    metadata: { name: 'keys', namespace: 'shop' },
    spec: { algorithm: 'ES256', issuer: 'https://auth.example', audiences: ['api'], maxTokenLifetime: '1h' },
  },
  {
    apiVersion: 'portcullis.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name: 'orders', namespace: 'shop' },
    spec: {
      authentication: { jwt: [{ name: 'main', keySetRef: { name: 'keys' } }] },
      rules: [{ name: 'all', match: { paths: ['/**'] }, allow: [{ authenticated: true }] }],
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop', annotations: { 'portcullis.dev/access-policy': 'orders' } },
    spec: { ports: [{ port: 80, targetPort: 'http' }], selector: { app: 'web' } },
  },
];
const REPLICA_SET = {
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'web', image: 'web:1', ports: [{ name: 'http', containerPort: 8000 }] }] },
    },
  },
};

test('the operator works with the configuration and the rights of the chart', async (t) => {
  const chart = await installedChart(t);
  if (!chart) return;
  const { kubectl, server, manifests } = chart;
  await succeeds(kubectl(['create', 'namespace', 'shop']));
  await succeeds(kubectl(['create', '-f', '-'], list(OBJECTS)));
  await createUnprotectedPod(chart);
  await chart.apply(chart.webhooks);

  const env = { POD_NAMESPACE: NAMESPACE, POD_NAME: 'operator-0' };
  const config = readOperatorConfig(findManifest(manifests, 'ConfigMap')['data']['config.yaml'], env);
  const operator = await startOperator(
    { ...config, healthPort: 0, jwks: { port: 0, externalUrl: null }, webhook: { ...config.webhook, port: 0 } },
    {
      kubeConfig: await operatorKubeConfig(server),
      log: pino({ level: 'silent' }),
      onLost: () => assert.fail('leadership lost'),
    },
  );
  t.after(() => operator.stop());
  const health = (path: string) => fetch(`http://127.0.0.1:${operator.healthPort}${path}`);

  await t.test('it becomes ready', () => until(async () => (await health('/readyz')).ok));
  await t.test('it makes both webhook configurations trust it', () =>
    until(async () => {
      const text = await read(chart, 'mutatingwebhookconfigurations,validatingwebhookconfigurations');
      return text.match(/"caBundle"/g)?.length === 4;
    }),
  );
  await t.test('a policy becomes Ready, its bundle is written', async () => {
    await until(async () => (await read(chart, 'accesspolicies', '-n', 'shop')).includes('"reason": "Written"'));
    assert.match(await read(chart, 'secrets', '-n', 'shop'), /"portcullis-access-orders"/);
  });
  await t.test('the public keys are served', () =>
    until(async () => {
      const response = await fetch(`http://127.0.0.1:${operator.jwksPort}/jwks/shop/keys`);
      return response.ok && ((await response.json()) as { keys: unknown[] }).keys.length > 0;
    }),
  );
  await t.test('the namespace is guarded, and the pod that came too early evicted', async () => {
    await until(async () => (await read(chart, 'namespaces')).includes('"portcullis.dev/guarded": "true"'));
    await until(async () => !(await read(chart, 'pods', '-n', 'shop')).includes('"unprotected"'));
  });
  await t.test('it holds the Lease of the chart', async () => {
    assert.match(await read(chart, 'leases', '-n', NAMESPACE), new RegExp(`"name": "${RELEASE}"`));
  });
  await t.test('nothing that it asked for was forbidden', async () => {
    const metrics = await (await health('/metrics')).text();
    const requests = metrics.split('\n').filter((line) => line.startsWith('rest_client_requests_total'));
    assert.ok(requests.length > 3);
    assert.deepEqual(
      requests.filter((line) => /code="40[13]"/.test(line)),
      [],
    );
  });
});

/** What its ReplicaSet's controller, which does not run here, would have created before anybody guarded the namespace. */
async function createUnprotectedPod({ server }: InstalledChart): Promise<void> {
  const made = await server.request('POST', '/apis/apps/v1/namespaces/shop/replicasets', REPLICA_SET);
  const { uid } = (made.body as { metadata: { uid: string } }).metadata;
  const { metadata, spec } = REPLICA_SET.spec.template;
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid, controller: true };
  const pod = { metadata: { ...metadata, name: 'unprotected', ownerReferences: [owner] }, spec };
  const { status } = await server.request('POST', '/api/v1/namespaces/shop/pods', pod);
  assert.equal(status, 201);
}

const read = ({ kubectl }: InstalledChart, ...what: string[]): Promise<string> =>
  succeeds(kubectl(['get', ...what, '-o', 'json']));

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 30_000; !(await holds()); await sleep(100)) {
    assert.ok(performance.now() < deadline, 'waited for 30 s');
  }
}

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { CERTIFICATE_TIMES } from '../../operator/injection/certificates.ts';
import { certificateReconcile, MUTATING } from '../../operator/injection/certificates-reconcile.ts';
import { NAMESPACES, PODS, type Pod, SECRETS } from '../../operator/kube/objects.ts';
import { until } from '../../operator/kube/testing/until.ts';
import { annotated } from '../../operator/workloads/testing/coverage-objects.ts';
import { ANNOTATIONS, LABELS, SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import { API_VERSION } from '../../policy/api/resource.ts';
import { apiServerFor } from '../cluster/require-api-server.ts';
import { webhookConfigurations } from './webhook-configurations.ts';
import { CONFIG, KEY, startWebhooks, type World } from './webhook-replica.ts';

const CONTAINER = { name: 'app', image: 'trading:1', ports: [{ name: 'http', containerPort: 8000 }] };

function podOf(name: string, notes: Readonly<Record<string, string>> = {}, container: object = {}): Pod {
  const metadata = { name, labels: { app: 'trading' }, annotations: annotated(notes) };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [{ ...CONTAINER, ...container }] } };
}

function serviceOf(name: string, policy: string, targetPort: string | number = 'http'): object {
  const metadata = { name, annotations: { [ANNOTATIONS.accessPolicy]: policy } };
  const spec = { selector: { app: 'trading' }, ports: [{ port: 80, targetPort }] };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec };
}

function policyOf(name: string, permissions: readonly string[], keySet?: string): object {
  const jwt = [{ name: 'trading', keySetRef: { name: keySet } }];
  const spec = {
    ...(keySet !== undefined && { authentication: { jwt } }),
    roles: [{ name: 'viewer', permissions: ['orders:read'] }],
    rules: permissions.map((permission, i) => ({
      ...{ name: `rule-${i}`, match: { paths: [`/orders/${i}`] }, allow: [{ permissions: [permission] }] },
    })),
  };
  return { apiVersion: API_VERSION, kind: 'AccessPolicy', metadata: { name }, spec };
}

async function isInjected({ client }: World, namespace: string, name: string): Promise<boolean> {
  const pod = await client.get(PODS, { namespace, name });
  assert.ok(pod, `${namespace}/${name} does not exist`);
  return pod.spec?.initContainers?.[0]?.name === SIDECAR_CONTAINER;
}

test('webhooks called by a kube-apiserver', async (t) => {
  const api = await apiServerFor(t);
  if (!api) return;
  const world = await startWebhooks(t, api);
  if (!world) return;
  const { client, kubectl, create } = world;
  const apply = (namespace: string, object: object, ...flags: string[]) =>
    kubectl(['apply', '-n', namespace, '-f', '-', ...flags], JSON.stringify(object));

  await t.test('refused before there is a certificate: what asks, and nothing else', async () => {
    assert.match(
      (await create('plain', podOf('early', { 'access-policy': 'orders' }))) ?? '',
      /failed calling webhook/,
    );
    assert.equal(await create('plain', podOf('bystander')), null);
  });

  const reconcile = certificateReconcile({ client, config: CONFIG, times: CERTIFICATE_TIMES, now: () => Date.now() });
  await reconcile('');
  await until(
    'the API server reaches us',
    async () => (await create('shop', policyOf('orders', []), '?dryRun=All')) === null,
  );

  await t.test('changes nothing in the configurations but caBundle', async () => {
    const [expected] = webhookConfigurations(`https://localhost:${world.port}`) as { webhooks: object[] }[];
    const found = await client.get(MUTATING, { name: 'portcullis-mutating' });
    assert.equal(found?.webhooks?.length, expected?.webhooks.length);
    for (const [i, webhook] of (found?.webhooks ?? []).entries()) {
      const { caBundle, ...clientConfig } = webhook.clientConfig;
      assert.ok(caBundle);
      assert.deepEqual({ ...webhook, clientConfig }, { ...webhook, ...expected?.webhooks[i], clientConfig });
    }
  });

  await t.test('a policy that cannot work is refused with every line in kubectl’s output', async (t) => {
    const { code, stderr } = await apply('shop', policyOf('orders', ['orders:raed', 'all'], 'trading'));
    t.diagnostic(stderr.trim());
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^spec\.rules\[0\]\.allow\[0\]\.permissions\[0\]: unknown permission "orders:raed"; did you mean "orders:read"\?$/m,
    );
    assert.match(stderr, /^spec\.rules\[1\]\.allow\[0\]\.permissions\[0\]: /m);
  });

  await t.test('a policy before its key set is admitted with a warning', async (t) => {
    const { code, stderr } = await apply('shop', policyOf('orders', ['orders:read'], 'trading'));
    t.diagnostic(stderr.trim());
    assert.equal(code, 0);
    assert.match(stderr, /^Warning: spec\.authentication\.jwt\[0\]\.keySetRef/m);
  });

  await t.test('a Service that asks gets its namespace labelled, and then a pod of it is injected', async (t) => {
    const { code, stderr } = await apply('shop', serviceOf('trading', 'orders'));
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal((await client.get(NAMESPACES, { name: 'shop' }))?.metadata.labels?.[LABELS.guarded], 'true');
    let tries = 0;
    await until('a pod is injected', async () => {
      assert.equal(await create('shop', podOf(`guarded-${++tries}`)), null);
      return isInjected(world, 'shop', `guarded-${tries}`);
    });
    t.diagnostic(`pods created at once after the Service until one was injected: ${tries}`);
    assert.ok(await isInjected(world, 'shop', `guarded-${tries}`));
  });

  await t.test('a pod that asks itself is injected in any namespace, its neighbours are not', async () => {
    assert.equal(await create('plain', podOf('annotated', { 'access-policy': 'orders' })), null);
    assert.equal(await create('plain', podOf('neighbour')), null);
    assert.equal(await create('plain', { ...podOf('bare'), metadata: { name: 'bare' } }), null);
    assert.ok(await isInjected(world, 'plain', 'annotated'));
    assert.ok(!(await isInjected(world, 'plain', 'neighbour')));
    assert.ok(!(await isInjected(world, 'plain', 'bare')));
  });

  await t.test('kubectl shows warnings for Services and pods', async (t) => {
    const service = await apply('typos', serviceOf('trading', 'ordres', 8000));
    t.diagnostic(service.stderr.trim());
    assert.equal(service.code, 0);
    assert.match(
      service.stderr,
      /^Warning: PolicyNotFound: pods stay unready until namespace typos has the AccessPolicy "ordres"/m,
    );
    assert.match(service.stderr, /^Warning: NumericTargetPort: Service trading/m);
    const pod = await apply('plain', podOf('typo', { 'access-policy': 'orders', captuer: 'Bind' }));
    assert.match(pod.stderr, /^Warning: .*captuer.*did you mean/m);
  });

  await t.test('a dry run decides and changes nothing', async () => {
    await apply('dry', serviceOf('trading', 'orders'), '--dry-run=server');
    assert.equal((await client.get(NAMESPACES, { name: 'dry' }))?.metadata.labels?.[LABELS.guarded], undefined);
    const { stdout } = await apply(
      'dry',
      podOf('dry', { 'access-policy': 'orders' }),
      '--dry-run=server',
      '-o',
      'json',
    );
    assert.equal(JSON.parse(stdout).spec.initContainers[0].name, SIDECAR_CONTAINER);
  });

  await t.test('a pod of several MiB is refused in one clear line', async (t) => {
    const heavy = (character: string, mebibytes: number) =>
      create('plain', podOf('heavy', { 'access-policy': 'orders' }, { args: [character.repeat(mebibytes * 2 ** 20)] }));
    const said = {
      '2 MiB, which etcd does not store': await heavy('x', 2),
      '2.5 MiB, 15 MiB in JSON as the API server escapes it': await heavy('<', 2.5),
      '4 MiB': await heavy('x', 4),
    };
    for (const [name, message] of Object.entries(said)) {
      t.diagnostic(`${name}: ${message}`);
      assert.equal(message?.split('\n').length, 1);
    }
    assert.match(
      said['2.5 MiB, 15 MiB in JSON as the API server escapes it'] ?? '',
      /Portcullis reads at most 6\.0 MiB; make the object smaller/,
    );
  });

  await t.test('certificates change under a steady stream of requests and none fails', (t) => changeover(t, world));

  await t.test('while no operator answers only what asks is refused', async (t) => {
    await world.server.stop();
    for (const [namespace, notes] of [
      ['plain', { 'access-policy': 'orders' }],
      ['shop', {}],
    ] as const) {
      const message = await create(namespace, podOf('down', notes));
      t.diagnostic(`${namespace}: ${message}`);
      assert.match(message ?? '', /failed calling webhook/);
    }
    assert.equal(await create('plain', podOf('up')), null);
    assert.ok(!(await isInjected(world, 'plain', 'up')));
  });
});

/** Authorities for 14 s and certificates for 6: several changes of both, as the API server sees them and as one that has just started. */
async function changeover(t: TestContext, { client, create, port }: World): Promise<void> {
  const times = {
    ...CERTIFICATE_TIMES,
    authorityLifeMs: 14_000,
    authorityOverlapMs: 9_000,
    leafLifeMs: 6_000,
    settleMs: 700,
    checkMs: 100,
  };
  const reconcile = certificateReconcile({ client, config: CONFIG, times, now: () => Date.now() });
  await client.delete(SECRETS, KEY);
  await reconcile('');
  await until(
    'the new authority is known',
    async () => (await create('shop', policyOf('x', []), '?dryRun=All')) === null,
  );

  const end = Date.now() + 18_000;
  const failures: string[] = [];
  const [bundles, serialNumbers] = [new Set<string>(), new Set<string>()];
  let reviews = 0;
  const repeat = async (pauseMs: number, action: () => Promise<void>) => {
    while (Date.now() < end)
      await action().then(
        () => sleep(pauseMs),
        (error: unknown) => failures.push(String(error)),
      );
  };
  const review = async () => {
    const refused = await create('plain', podOf('stream', { 'access-policy': 'orders' }), '?dryRun=All');
    assert.equal(refused, null);
    reviews++;
  };
  const greet = async () => {
    const configuration = await client.get(MUTATING, { name: CONFIG.webhook.mutatingConfiguration });
    const { caBundle = '' } = configuration?.webhooks?.[0]?.clientConfig ?? {};
    bundles.add(caBundle);
    serialNumbers.add(await handshake(port, Buffer.from(caBundle, 'base64')));
  };
  const lead = async () => {
    const { afterMs } = await reconcile('');
    await sleep(afterMs ?? 0);
  };
  await Promise.all([repeat(0, review), repeat(0, review), repeat(10, greet), repeat(0, lead)]);
  t.diagnostic(
    `${reviews} requests, ${failures.length} failed; ${bundles.size} bundles, ${serialNumbers.size} certificates served`,
  );
  assert.deepEqual(failures, []);
  assert.ok(bundles.size >= 4 && serialNumbers.size >= 4, 'nothing changed');
}

/** The serial number of what is served to a client that trusts `ca`; rejects when it is not trusted. */
function handshake(port: number, ca: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

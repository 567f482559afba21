import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gauge, Registry } from 'prom-client';
import { ANNOTATIONS, OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import { type EventRecord, KubeError } from '../kube/kube-client.ts';
import {
  type KubeObject,
  NAMESPACES,
  type OwnerReference,
  type Pod,
  type ResourceType,
  SERVICES,
  type Service,
} from '../kube/objects.ts';
import { FakeClock } from '../kube/testing/fake-clock.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { Auditor } from './auditor.ts';
import type { PolicyKey } from './enforcement.ts';
import type { PodTemplateOwner } from './rollout.ts';
import { cacheOf, type ExamplePod, examplePod, INJECTED, written } from './testing/example-pods.ts';

const DEPLOYMENTS: ResourceType<PodTemplateOwner> = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  plural: 'deployments',
  namespaced: true,
};
const REPLICA_SETS: ResourceType<KubeObject> = {
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  plural: 'replicasets',
  namespaced: true,
};
const orders: PolicyKey = { kind: 'Access', namespace: 'shop', name: 'orders' };

const reference = (kind: string, name: string): OwnerReference => ({
  ...{ apiVersion: 'apps/v1', kind, name, uid: `uid-of-${name}`, controller: true },
});
const service = (annotations: Record<string, string> = {}): Service => ({
  metadata: {
    name: 'orders',
    namespace: 'shop',
    annotations: { [ANNOTATIONS.accessPolicy]: 'orders', ...annotations },
  },
  spec: { selector: { app: 'orders' }, ports: [{ port: 80, targetPort: 'http' }] },
});
const plain = (name: string, more: ExamplePod = {}): Pod => {
  const metadata = { ownerReferences: [reference('ReplicaSet', 'orders-1')], ...more.metadata };
  return examplePod(name, { ...more, injected: more.injected ?? null, metadata });
};

/** Pods of Deployment orders in namespace shop. The clock starts 10 s after the example pods were created. */
async function setUp(options: { evict?: boolean; annotations?: Record<string, string> } = {}) {
  const client = new MemoryKubeClient();
  const clock = new FakeClock(Date.parse('2030-01-01T00:00:10Z'));
  const events: EventRecord[] = [];
  await client.create(NAMESPACES, { metadata: { name: 'shop' } });
  await client.create(SERVICES, service(options.annotations));
  await client.create(DEPLOYMENTS, { metadata: { name: 'orders', namespace: 'shop' }, spec: { template: {} } });
  const ownerReferences = [reference('Deployment', 'orders')];
  await client.create(REPLICA_SETS, { metadata: { name: 'orders-1', namespace: 'shop', ownerReferences } });
  const pods = cacheOf<Pod>();
  const registry = new Registry();
  const concerned: string[] = [];
  const auditor = new Auditor({
    client,
    pods,
    namespaces: client.cache(NAMESPACES),
    services: client.cache(SERVICES),
    accessPolicies: cacheOf<KubeObject>({ metadata: { name: 'orders', namespace: 'shop' } }),
    rateLimitPolicies: cacheOf<KubeObject>(),
    config: {
      defaults: { capture: 'Takeover', storeSecret: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
      evictUnprotected: options.evict ?? true,
    },
    bundleKey: INJECTED.bundleKey,
    events: { record: (event) => events.push(event) },
    clock,
    unprotected: new Gauge({ name: 'unprotected', help: '-', labelNames: ['namespace'], registers: [registry] }),
    excluded: new Set(['portcullis']),
    onChange: (_, policies) => concerned.push(...policies.map(({ name }) => name)),
  });
  const gauge = async () => (await registry.getSingleMetric('unprotected')?.get())?.values.map(({ value }) => value);
  const evicted = () => client.requests.filter(({ verb }) => verb === 'evict').map(({ name }) => name);
  const patches = () => client.requests.filter(({ verb }) => verb === 'patch').length;
  const said = () =>
    events.splice(0).map(({ about, reason, message }) => ({ about: about.metadata.name, reason, message }));
  return { client, clock, pods, auditor, concerned, gauge, evicted, patches, said };
}

test('evicts a young pod that went past the webhook', async () => {
  const { auditor, pods, evicted, gauge, concerned, said } = await setUp();
  pods.set(plain('a'));
  assert.deepEqual(await auditor.reconcile('shop/a'), { afterMs: null });
  assert.deepEqual(evicted(), ['a']);
  assert.deepEqual(await gauge(), [1]);
  assert.match(auditor.restartRequired(orders).join(), /^a: runs without the sidecar/);
  assert.deepEqual(
    said().map(({ about, reason }) => [about, reason]),
    [['orders', 'UnprotectedEvicted']],
  );

  pods.delete({ namespace: 'shop', name: 'a' });
  await auditor.reconcile('shop/a');
  assert.deepEqual(await gauge(), [0]);
  assert.deepEqual(auditor.restartRequired(orders), []);
  assert.deepEqual(concerned, ['orders', 'orders']);
});

test('which pods are never evicted', async (t) => {
  const table: readonly [string, Pod, { evict?: boolean }?][] = [
    ['old ones', plain('a', { metadata: { creationTimestamp: '2029-12-31T23:59:00Z' } })],
    ['where it is switched off', plain('a'), { evict: false }],
    ['those that nobody would create again', plain('a', { metadata: { ownerReferences: [] } })],
    [
      'those of a Job, to which it is a failure',
      plain('a', { metadata: { ownerReferences: [reference('Job', 'j')] } }),
    ],
    ['those that are injected', plain('a', { injected: { accessPolicy: 'old' } })],
    ['those on their way out', plain('a', { metadata: { deletionTimestamp: '2030-01-01T00:00:00Z' } })],
  ];
  for (const [name, pod, options] of table) {
    await t.test(name, async () => {
      const { auditor, pods, evicted } = await setUp(options);
      pods.set(pod);
      await auditor.reconcile('shop/a');
      assert.deepEqual(evicted(), []);
    });
  }
});

test('comes again while a PodDisruptionBudget forbids it', async () => {
  const { auditor, pods, client } = await setUp();
  client.evict = () => Promise.reject(new KubeError(429, 'TooManyRequests', '', { retryAfterMs: 10_000 }));
  pods.set(plain('a'));
  assert.deepEqual(await auditor.reconcile('shop/a'), { afterMs: 10_000 });
});

test('does not evict without end when successors have no sidecar either', async () => {
  const { auditor, pods, clock, evicted, said } = await setUp();
  pods.set(plain('a'));
  pods.set(plain('b', { metadata: { creationTimestamp: '2030-01-01T00:00:02Z' } }));
  for (const pod of ['shop/a', 'shop/b']) await auditor.reconcile(pod);
  pods.set(plain('c', { metadata: { creationTimestamp: '2030-01-01T00:00:12Z' } }));
  await clock.advance(4_000);
  said();
  assert.deepEqual(await auditor.reconcile('shop/c'), { afterMs: 30 * 60_000 });
  assert.deepEqual(evicted(), ['a', 'b']);
  assert.deepEqual(
    said().map(({ reason }) => reason),
    ['NotInjected'],
  );
});

test('reports with the exact command, on who made the pod', async (t) => {
  const old = { creationTimestamp: '2029-01-01T00:00:00Z' };
  const table: readonly [string, Pod, string, string, RegExp][] = [
    [
      'unprotected',
      plain('a', { metadata: old }),
      'orders',
      'NotInjected',
      /^a pod runs without .*: kubectl rollout restart deployment\/orders -n shop$/,
    ],
    [
      'injected otherwise',
      plain('a', { injected: { accessPolicy: 'old' } }),
      'orders',
      'RestartRequired',
      /^pods have to be restarted: another AccessPolicy is asked for: kubectl rollout restart deployment\/orders -n shop$/,
    ],
    [
      'a StatefulSet',
      plain('a', { metadata: { ...old, ownerReferences: [reference('StatefulSet', 'db')] } }),
      'db',
      'NotInjected',
      /statefulset\/db -n shop$/,
    ],
    [
      'nobody',
      plain('a', { metadata: { ...old, ownerReferences: [] } }),
      'a',
      'NotInjected',
      /delete the pods of Pod a/,
    ],
    [
      'a Job',
      plain('a', { metadata: { ...old, ownerReferences: [reference('Job', 'j')] } }),
      'j',
      'NotInjected',
      /only a new Job/,
    ],
  ];
  for (const [name, pod, about, reason, message] of table) {
    await t.test(name, async () => {
      const { auditor, pods, said, patches } = await setUp();
      pods.set(pod);
      await auditor.reconcile('shop/a');
      const [event, ...more] = said();
      assert.deepEqual([event?.about, event?.reason, more], [about, reason, []]);
      assert.match(event?.message ?? '', message);
      assert.equal(patches(), 0);
    });
  }
});

const auto = { annotations: { [ANNOTATIONS.rollout]: 'Auto' } };

test('rollout: Auto restarts once, and never again for the same when it did not help', async () => {
  const { auditor, pods, client, clock, said, patches } = await setUp(auto);
  pods.set(plain('a', { injected: { accessPolicy: 'old' } }));
  pods.set(plain('b', { injected: { accessPolicy: 'old' } }));
  for (const pod of ['shop/a', 'shop/b', 'shop/a']) await auditor.reconcile(pod);
  assert.equal(patches(), 1, 'while it rolls, nothing more');
  assert.deepEqual(
    said().map(({ reason }) => reason),
    ['RolloutRestarted'],
  );

  const template = (await client.get(DEPLOYMENTS, { namespace: 'shop', name: 'orders' }))?.spec?.template;
  const restartedAt = template?.metadata?.annotations?.[OWN_ANNOTATIONS.restartedAt] ?? '';
  assert.equal(restartedAt, new Date(clock.epoch()).toISOString());
  const annotations = { [OWN_ANNOTATIONS.restartedAt]: restartedAt };
  pods.set(written(plain('a', { injected: { accessPolicy: 'old' }, metadata: { annotations } })));
  await clock.advance(3_600_000);
  await auditor.reconcile('shop/a');
  assert.equal(patches(), 1);
  assert.match(said()[0]?.message ?? '', /a restart did not help/);

  await client.patch(
    SERVICES,
    { namespace: 'shop', name: 'orders' },
    { metadata: { annotations: { [ANNOTATIONS.accessPolicy]: 'new' } } },
  );
  await auditor.reconcile('shop/a');
  assert.equal(patches(), 3, 'something else is wanted');
});

test('restarts no owner within a minute of its last restart, and no two within 5 s', async () => {
  const { auditor, pods, client, clock, patches } = await setUp(auto);
  const ownerReferences = [reference('Deployment', 'other')];
  await client.create(REPLICA_SETS, { metadata: { name: 'other-1', namespace: 'shop', ownerReferences } });
  const restartedAt = new Date(clock.epoch() - 20_000).toISOString();
  const annotations = { [OWN_ANNOTATIONS.restartedAt]: restartedAt };
  await client.create(DEPLOYMENTS, {
    metadata: { name: 'other', namespace: 'shop' },
    spec: { template: { metadata: { annotations } } },
  });
  const ofOther = { ownerReferences: [reference('ReplicaSet', 'other-1')], annotations };
  pods.set(plain('a', { injected: { accessPolicy: 'old' } }));
  pods.set(plain('b', { injected: { accessPolicy: 'old' }, metadata: ofOther }));
  await auditor.reconcile('shop/a');
  assert.deepEqual(await auditor.reconcile('shop/b'), { afterMs: 40_000 });
  await clock.advance(3_000);
  await client.patch(DEPLOYMENTS, { namespace: 'shop', name: 'other' }, { spec: { template: null } });
  pods.set(written(plain('b', { injected: { accessPolicy: 'old' }, metadata: { ...ofOther, annotations: {} } })));
  assert.deepEqual(await auditor.reconcile('shop/b'), { afterMs: 2_000 });
  await clock.advance(2_000);
  assert.equal(patches(), 2);
  await auditor.reconcile('shop/b');
  assert.equal(patches(), 3);
});

test('looks for the Secret that a pod refuses traffic for', async () => {
  const annotations = { [ANNOTATIONS.requiredSecrets]: 'bot/key' };
  const { auditor, pods, client } = await setUp({ annotations });
  const secrets: ResourceType<KubeObject> = { apiVersion: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true };
  pods.set(plain('a', { injected: { refuse: ['RequiredSecretMissing'] } }));
  assert.deepEqual(await auditor.reconcile('shop/a'), { afterMs: 60_000 });
  assert.equal(auditor.finding('shop/a'), undefined);
  const data = { key: 'eA==' };
  await client.create(secrets, { metadata: { name: 'bot', namespace: 'shop' }, data } as KubeObject);
  await auditor.reconcile('shop/a');
  assert.equal(auditor.finding('shop/a')?.kind, 'RestartRequired');
});

test('gives what was applied together five seconds to arrive', async () => {
  const { auditor, pods, clock } = await setUp();
  pods.set(plain('a', { injected: { accessPolicy: 'old' }, metadata: { creationTimestamp: '2030-01-01T00:00:08Z' } }));
  assert.deepEqual(await auditor.reconcile('shop/a'), { afterMs: 3_000 });
  assert.equal(auditor.finding('shop/a'), undefined);
  await clock.advance(3_000);
  await auditor.reconcile('shop/a');
  assert.equal(auditor.finding('shop/a')?.kind, 'RestartRequired');
});

test('leaves the pods of excluded namespaces alone', async () => {
  const { auditor, pods, said } = await setUp();
  pods.set(plain('a', { namespace: 'portcullis' }));
  assert.deepEqual(await auditor.reconcile('portcullis/a'), { afterMs: null });
  assert.deepEqual(said(), []);
});

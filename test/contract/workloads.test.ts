import assert from 'node:assert/strict';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { bundleKeyFingerprint } from '../../operator/injection/injected.ts';
import { type Clock, systemClock } from '../../operator/kube/clock.ts';
import { connectKubeClient, type HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import type { EventRecord } from '../../operator/kube/kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { KubeMetrics } from '../../operator/kube/kube-metrics.ts';
import {
  type KubeObject,
  NAMESPACES,
  NODES,
  PODS,
  type Pod,
  type ResourceType,
  SERVICES,
  type Service,
} from '../../operator/kube/objects.ts';
import { Reflector } from '../../operator/kube/reflector.ts';
import { until } from '../../operator/kube/testing/until.ts';
import { ACCESS_POLICIES, RATE_LIMIT_POLICIES } from '../../operator/resources.ts';
import type { PolicyKey } from '../../operator/workloads/enforcement.ts';
import { NETWORK_POLICIES } from '../../operator/workloads/network-policies.ts';
import { podView } from '../../operator/workloads/pod-view.ts';
import type { PodTemplateOwner } from '../../operator/workloads/rollout.ts';
import { type ExamplePod, examplePod, exampleStatus, INJECTED } from '../../operator/workloads/testing/example-pods.ts';
import { type WorkloadParts, Workloads } from '../../operator/workloads/workloads.ts';
import { ANNOTATIONS, LABELS, OWN_ANNOTATIONS, POD_CONDITIONS } from '../../policy/api/names.ts';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';
import { apiServerFor } from '../cluster/require-api-server.ts';
import { installCrds } from './install-crds.ts';

type AnyObject = KubeObject & { readonly spec?: unknown; readonly status?: unknown };
const apps = <T extends KubeObject = AnyObject>(kind: string, plural: string): ResourceType<T> => ({
  ...{ apiVersion: 'apps/v1', kind, plural, namespaced: true },
});
const DEPLOYMENTS = apps<PodTemplateOwner & AnyObject>('Deployment', 'deployments');
const REPLICA_SETS = apps('ReplicaSet', 'replicasets');
const BUDGETS: ResourceType<AnyObject> = {
  ...{ apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', plural: 'poddisruptionbudgets', namespaced: true },
};
const BUNDLE_KEY = 'AAAA';

test('workloads on a kube-apiserver', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  const kubeConfig = loadKubeConfig({ path: server.kubeconfig });
  const client = connectKubeClient(kubeConfig, { requestsPerSecond: 10_000, burst: 10_000 });
  t.after(() => client.close());
  await installCrds(server);
  for (const [name, status] of [
    ['node-1', 'True'],
    ['node-2', 'False'],
  ] as const) {
    await client.create(NODES, { metadata: { name } });
    await client.patch(
      NODES,
      { name },
      { status: { conditions: [{ type: 'Ready', status }] } },
      { subresource: 'status' },
    );
  }
  const world = (t: TestContext, namespace: string) => World.start(t, client, namespace);

  await t.test('Enforced when the last acknowledges; who lags behind is named and touched', async (t) =>
    acknowledges(t, await world(t, 'acknowledges')),
  );
  await t.test('a sidecar that is not ready says why in its condition', async (t) =>
    saysWhy(await world(t, 'says-why')),
  );
  await t.test('touches no more pods a second than it may', async (t) => touches(t, await world(t, 'touches')));
  await t.test('a pod that was injected for something else has to be restarted', async (t) =>
    restarts(await world(t, 'restarts')),
  );
  await t.test('evicts young unprotected pods as PodDisruptionBudgets allow', async (t) =>
    evicts(await world(t, 'evicts')),
  );
  await t.test('dials the apps past their sidecars', async (t) => dials(t, await world(t, 'dials')));
  await t.test('labels guarded namespaces, and unlabels them', async (t) => guards(await world(t, 'guards')));
  await t.test('makes, keeps and removes NetworkPolicies', async (t) => closes(await world(t, 'closes')));
});

async function acknowledges(t: TestContext, world: World): Promise<void> {
  const { client } = world;
  await world.policy('orders');
  await world.service({ [ANNOTATIONS.accessPolicy]: 'orders' });
  const [old, next] = [
    { serial: 1, hash: 'aa' },
    { serial: 2, hash: 'bb' },
  ];
  const a = await world.pod('a');
  const b = await world.pod('b');
  await world.pod('on-a-dead-node', { spec: { nodeName: 'node-2' } });
  await world.pod('ending');
  await client.delete(PODS, world.key('ending'));
  assert.ok((await world.get('ending')).metadata.deletionTimestamp, 'without a kubelet it stays');
  for (const sidecar of [a, b]) sidecar.status = world.running(old);
  const workloads = await world.run();

  workloads.expect(world.orders, old);
  await until('both run the old one', () => workloads.enforcement(world.orders, old).current === 2);
  await until('their conditions say so', async () => (await world.condition('b', 'enforced'))?.status === 'True');
  assert.equal((await world.condition('a', 'enforced'))?.reason, 'Acknowledged');
  assert.equal((await world.get('a')).metadata.annotations?.[OWN_ANNOTATIONS.touched], undefined, 'it was not needed');
  assert.equal(await world.condition('on-a-dead-node', 'enforced'), undefined);

  workloads.expect(world.orders, next);
  assert.deepEqual(workloads.enforcement(world.orders, next), {
    ...{ matched: 2, current: 0, stale: 2, refused: [], restartRequired: [] },
    waiting: ['a: runs serial 1', 'b: runs serial 1'],
  });
  await until('they are touched', async () =>
    (await Promise.all([world.get('a'), world.get('b')])).every(
      ({ metadata }) => metadata.annotations?.[OWN_ANNOTATIONS.touched],
    ),
  );
  a.status = world.running(next);
  await until('a follows', () => workloads.enforcement(world.orders, next).current === 1);
  assert.deepEqual(workloads.enforcement(world.orders, next).waiting, ['b: runs serial 1']);
  assert.deepEqual(
    workloads
      .acknowledgements('auth/trading')
      .map(({ consumer, serial }) => `${consumer} ${serial}`)
      .sort(),
    [`${world.namespace}/a 2`, `${world.namespace}/b 1`],
  );
  await until('b is called a laggard', async () => (await world.condition('b', 'enforced'))?.status === 'False');
  const { reason, message } = (await world.condition('b', 'enforced')) ?? {};
  assert.deepEqual([reason, message], ['Progressing', 'AccessPolicy orders: the sidecar runs serial 1']);

  const since = performance.now();
  b.status = world.running(next);
  await until('b follows', () => workloads.enforcement(world.orders, next).stale === 0);
  t.diagnostic(`seen ${Math.round(performance.now() - since)} ms after the last pod took it, awaited for over 5 s`);
  await until('its condition is True', async () => (await world.condition('b', 'enforced'))?.status === 'True');
  assert.equal(workloads.highestSerial(world.orders), 2);

  const writes = world.patches.length;
  await sleep(1_500);
  assert.equal(world.patches.length, writes, 'at rest nothing is written');
}

async function saysWhy(world: World): Promise<void> {
  await world.policy('orders');
  await world.service({ [ANNOTATIONS.accessPolicy]: 'orders' });
  const a = await world.pod('a');
  const bundle = { serial: 1, hash: 'aa' };
  const enforced = async () => {
    const { status, reason, message } = (await world.condition('a', 'enforced')) ?? {};
    return `${status} ${reason}: ${message}`;
  };
  const says = (wanted: string) => until(wanted, async () => (await enforced()) === wanted);
  a.status = { ...world.running({ serial: 0, hash: '' }), notReady: ['PolicyNotFound: no bundle yet'] };
  const workloads = await world.run({ clock: fastClock(60) });
  await says('False PolicyNotFound: no bundle yet');
  a.status = { ...world.running(bundle), notReady: ['AddressInUse: port 80 is taken'] };
  workloads.expect(world.orders, bundle);
  await says('False AddressInUse: port 80 is taken');
  a.status = world.running(bundle);
  await until('it is ready', async () => (await world.condition('a', 'enforced'))?.status === 'True');
}

async function touches(t: TestContext, world: World): Promise<void> {
  const names = Array.from({ length: 120 }, (_, i) => `p${i}`);
  await world.policy('orders');
  await world.service({ [ANNOTATIONS.accessPolicy]: 'orders' });
  await Promise.all(names.map((name) => world.pod(name, { status: { podIP: '127.64.255.1' } })));
  const workloads = await world.run({ podPatchesPerSecond: 50 });
  await until('all count', () => workloads.enforcement(world.orders, { serial: 1, hash: 'aa' }).matched === 120);
  workloads.expect(world.orders, { serial: 1, hash: 'aa' });
  const touched = () => world.patches.filter(({ body }) => 'annotations' in (body as Pod).metadata);
  await until('all are touched', () => new Set(touched().map(({ name }) => name)).size === 120);
  const times = touched().map(({ at }) => at);
  const most = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 1000).length));
  t.diagnostic(`120 pods in ${Math.round(times[119]! - times[0]!)} ms, at most ${most} in a second`);
  assert.ok(most <= 55, `${most} in a second`);
}

async function restarts(world: World): Promise<void> {
  const { client, namespace } = world;
  for (const name of ['orders', 'new']) await world.policy(name);
  await world.service({ [ANNOTATIONS.accessPolicy]: 'orders' });
  await world.deployment();
  await world.pod('a');
  const workloads = await world.run();
  const wanted: PolicyKey = { kind: 'Access', namespace, name: 'new' };
  await world.annotateService({ [ANNOTATIONS.accessPolicy]: 'new' });
  await until(
    'it has to be restarted',
    () => workloads.enforcement(wanted, { serial: 1, hash: '' }).restartRequired.length === 1,
  );
  assert.match(workloads.enforcement(wanted, { serial: 1, hash: '' }).restartRequired[0]!, /^a: another AccessPolicy/);
  await until('who made it hears', () => world.events.some(({ reason }) => reason === 'RestartRequired'));
  const event = world.events.find(({ reason }) => reason === 'RestartRequired');
  assert.deepEqual([event?.about.kind, event?.about.metadata.name], ['Deployment', 'orders']);
  assert.match(event?.message ?? '', new RegExp(`: kubectl rollout restart deployment/orders -n ${namespace}$`));
  await until(
    'its condition says so',
    async () => (await world.condition('a', 'enforced'))?.reason === 'RestartRequired',
  );

  const restartedAt = async () =>
    (await client.get(DEPLOYMENTS, world.key('orders')))?.spec?.template?.metadata?.annotations?.[
      OWN_ANNOTATIONS.restartedAt
    ];
  assert.equal(await restartedAt(), undefined);
  await world.annotateService({ [ANNOTATIONS.rollout]: 'Auto' });
  await until('it is restarted', async () => (await restartedAt()) !== undefined);
  const first = await restartedAt();
  await world.annotateService({ some: 'change' });
  await client.patch(PODS, world.key('a'), { metadata: { labels: { some: 'change' } } });
  await sleep(500);
  assert.equal(await restartedAt(), first, 'once');

  await client.delete(ACCESS_POLICIES, world.key('orders'));
  await world.annotateService({ [ANNOTATIONS.accessPolicy]: 'orders' });
  await until('it lacks its policy', async () => (await world.condition('a', 'enforced'))?.reason === 'PolicyNotFound');
  assert.match((await world.condition('a', 'enforced'))?.message ?? '', /orders does not exist; there are new$/);
}

async function evicts(world: World): Promise<void> {
  const { client } = world;
  await world.policy('orders');
  await world.service({ [ANNOTATIONS.accessPolicy]: 'orders' });
  await world.deployment();
  const budget = { ...world.key('orders') };
  const spec = { minAvailable: 1, selector: { matchLabels: { app: 'orders' } } };
  await client.create(BUDGETS, { metadata: budget, spec });
  const allow = (disruptionsAllowed: number) => {
    const counts = { currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 };
    const status = { disruptionsAllowed, observedGeneration: 1, ...counts };
    return client.patch(BUDGETS, budget, { status }, { subresource: 'status' });
  };
  await allow(0);
  await world.pod('a', { injected: null });
  const workloads = await world.run();
  await until(
    'it is found',
    () => workloads.enforcement(world.orders, { serial: 1, hash: '' }).restartRequired.length === 1,
  );
  assert.match(
    await world.registry.metrics(),
    new RegExp(`portcullis_pods_unprotected\\{namespace="${world.namespace}"\\} 1`),
  );
  await sleep(500);
  assert.equal((await world.get('a')).metadata.deletionTimestamp, undefined, 'the budget forbids it');
  await allow(1);
  await until('it is evicted', async () => (await world.get('a')).metadata.deletionTimestamp !== undefined);
  await until('it is no longer counted', async () => /unprotected\{.*\} 0/.test(await world.registry.metrics()));
}

async function dials(t: TestContext, world: World): Promise<void> {
  await world.policy('orders');
  await world.service({ [ANNOTATIONS.accessPolicy]: 'orders' });
  const open = await world.pod('open');
  const closed = await world.pod('closed');
  for (const sidecar of [open, closed]) sidecar.status = world.running({ serial: 1, hash: 'aa' });
  const app = createTcpServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => app.listen(8000, open.address, resolve));
  t.after(() => app.close());
  const workloads = await world.run();
  await until('both are known', () => workloads.protection(world.orders).unknown.length === 0);
  assert.deepEqual(workloads.protection(world.orders), { protected: 1, exposed: ['open'], unknown: [] });
  await until(
    'one is said to be open',
    async () => (await world.condition('open', 'protected'))?.reason === 'AppPortOpen',
  );
  await until(
    'one is said to be closed',
    async () => (await world.condition('closed', 'protected'))?.status === 'True',
  );
}

async function guards(world: World): Promise<void> {
  const { client, namespace } = world;
  await world.run({ clock: fastClock(60) });
  const label = async () => (await client.get(NAMESPACES, { name: namespace }))?.metadata.labels?.[LABELS.guarded];
  await world.service({});
  await sleep(200);
  assert.equal(await label(), undefined);
  await world.annotateService({ [ANNOTATIONS.accessPolicy]: 'orders' });
  await until('it is labelled', async () => (await label()) === 'true');
  await client.delete(SERVICES, world.key('orders'));
  await until('it is unlabelled', async () => (await label()) === undefined);
}

async function closes(world: World): Promise<void> {
  const { client } = world;
  await world.policy('orders');
  await world.service({ [ANNOTATIONS.accessPolicy]: 'orders', [ANNOTATIONS.networkPolicy]: 'Generate' });
  await world.pod('a');
  await world.run();
  const ours = () => client.get(NETWORK_POLICIES, world.key('portcullis-orders'));
  await until('there is one', async () => (await ours()) !== null);
  const { metadata, spec } = (await ours())!;
  assert.deepEqual(
    spec?.ingress?.[0]?.ports?.map(({ port, endPort }) => [port, endPort]),
    [
      [1, 7999],
      [8001, 65_535],
      [undefined, undefined],
      [undefined, undefined],
    ],
  );
  await client.patch(PODS, world.key('a'), { metadata: { labels: { some: 'change' } } });
  await sleep(500);
  assert.equal((await ours())?.metadata.resourceVersion, metadata.resourceVersion, 'nothing to write');

  const other = { metadata: world.key('own'), spec: { podSelector: { matchLabels: { app: 'orders' } } } };
  await client.create(NETWORK_POLICIES, other);
  await until('it gives way to another', async () => (await ours()) === null);
  assert.ok(world.events.some(({ reason }) => reason === 'NetworkPolicyNotGenerated'));
  await client.delete(NETWORK_POLICIES, world.key('own'));
  await until('it is back', async () => (await ours()) !== null);
  await world.annotateService({ [ANNOTATIONS.networkPolicy]: null });
  await until('it is removed', async () => (await ours()) === null);
}

interface FakeSidecar {
  readonly address: string;
  /** Null: it does not answer well. */
  status: SidecarStatus | null;
}

let lastAddress = 0;

/** One namespace with pods as objects, and sidecars that answer on addresses of loopback. */
class World {
  readonly client: HttpsKubeClient;
  readonly namespace: string;
  readonly orders: PolicyKey;
  readonly events: EventRecord[] = [];
  readonly patches: { readonly at: number; readonly name: string; readonly body: object }[] = [];
  readonly registry = new Registry();
  readonly #servers: Server[] = [];
  readonly #stops: (() => Promise<void>)[] = [];

  private constructor(client: HttpsKubeClient, namespace: string) {
    this.client = client;
    this.namespace = namespace;
    this.orders = { kind: 'Access', namespace, name: 'orders' };
  }

  static async start(t: TestContext, client: HttpsKubeClient, namespace: string): Promise<World> {
    await client.create(NAMESPACES, { metadata: { name: namespace } });
    const world = new World(client, namespace);
    t.after(async () => {
      for (const stop of world.#stops.toReversed()) await stop();
      for (const server of world.#servers) server.close().closeAllConnections();
    });
    return world;
  }

  key(name: string): { namespace: string; name: string } {
    return { namespace: this.namespace, name };
  }

  async get(pod: string): Promise<Pod> {
    const found = await this.client.get(PODS, this.key(pod));
    assert.ok(found, pod);
    return found;
  }

  async condition(pod: string, type: keyof typeof POD_CONDITIONS) {
    return (await this.get(pod)).status?.conditions?.find((condition) => condition.type === POD_CONDITIONS[type]);
  }

  running(bundle: { readonly serial: number; readonly hash: string }): SidecarStatus {
    const status = exampleStatus(bundle);
    const access = { ...status.bundles.access!, namespace: this.namespace };
    return { ...status, bundles: { access, limits: null, issuer: null } };
  }

  async policy(name: string): Promise<void> {
    const spec = { rules: [{ name: 'all', match: { paths: ['/**'] }, allow: [{ anonymous: true }] }] };
    await this.client.create(ACCESS_POLICIES, { metadata: this.key(name), spec } as never);
  }

  async service(annotations: Record<string, string>): Promise<void> {
    const spec = { selector: { app: 'orders' }, ports: [{ port: 80, targetPort: 'http' }] };
    await this.client.create<Service>(SERVICES, { metadata: { ...this.key('orders'), annotations }, spec });
  }

  async annotateService(annotations: Record<string, string | null>): Promise<void> {
    await this.client.patch(SERVICES, this.key('orders'), { metadata: { annotations } });
  }

  /** A Deployment with a ReplicaSet, as which the pods' controller is named. */
  async deployment(): Promise<void> {
    const selector = { matchLabels: { app: 'orders' } };
    const template = { metadata: { labels: { app: 'orders' } }, spec: { containers: [{ name: 'app', image: 'app' }] } };
    const { metadata } = await this.client.create(DEPLOYMENTS, {
      metadata: this.key('orders'),
      spec: { selector, template } as NonNullable<PodTemplateOwner['spec']>,
    });
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'orders', uid: metadata.uid!, controller: true };
    const ownerReferences = [owner];
    const set = { ...this.key('orders-1'), ownerReferences };
    const created = await this.client.create(REPLICA_SETS, { metadata: set, spec: { selector, template } });
    this.#replicaSet = created.metadata.uid!;
  }
  #replicaSet = '';

  /** Creates a pod and says of it what a kubelet would. */
  async pod(name: string, example: ExamplePod = {}): Promise<FakeSidecar> {
    const address = example.status?.podIP ?? `127.64.0.${++lastAddress}`;
    const bundleKey = bundleKeyFingerprint(BUNDLE_KEY);
    const injected = example.injected === null ? null : { bundleKey, ...example.injected };
    const { metadata, spec, status } = examplePod(name, { ...example, namespace: this.namespace, injected });
    const { labels = {}, annotations = {} } = metadata;
    const owner = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      name: 'orders-1',
      uid: this.#replicaSet,
      controller: true,
    };
    const image = (container: object) => ({ ...container, image: 'image' });
    await this.client.create(PODS, {
      metadata: { ...this.key(name), labels, annotations, ...(this.#replicaSet && { ownerReferences: [owner] }) },
      spec: {
        ...spec,
        containers: spec!.containers.map(image) as never,
        ...(spec?.initContainers && { initContainers: spec.initContainers.map(image) as never }),
      },
    });
    const initContainerStatuses = (status?.initContainerStatuses ?? []).map((container) => ({
      ...{ ...container, image: 'image', imageID: '', ready: true },
      state: { running: { startedAt: '2030-01-01T00:00:00Z' } },
    }));
    const patch = { status: { ...status, podIP: address, podIPs: [{ ip: address }], initContainerStatuses } };
    await this.client.patch(PODS, this.key(name), patch, { subresource: 'status', strategic: true });
    const sidecar: FakeSidecar = { address, status: null };
    if (example.status?.podIP === undefined && injected) await this.#listen(sidecar);
    return sidecar;
  }

  async #listen(sidecar: FakeSidecar): Promise<void> {
    const server = createHttpServer((_, response) => {
      response.writeHead(sidecar.status ? 200 : 503).end(JSON.stringify(sidecar.status));
    });
    await new Promise<void>((resolve) => server.listen(INJECTED.adminPort, sidecar.address, resolve));
    this.#servers.push(server);
  }

  /** Starts what is tested, with reflectors as the operator has them; it sees this namespace only. */
  async run({ clock = systemClock, podPatchesPerSecond = 200 } = {}): Promise<Workloads> {
    const log = pino({ level: 'silent' });
    const metrics = new KubeMetrics(new Registry());
    const { client, namespace } = this;
    const reflectors: Reflector<KubeObject>[] = [];
    const reflect = <T extends KubeObject>(type: ResourceType<T>, keep?: (object: T) => T): Reflector<T> => {
      const selection = type.namespaced ? { namespace } : {};
      const reflector = new Reflector<T>({ client, type, selection, log, metrics, ...(keep && { keep }) });
      reflector.start();
      reflectors.push(reflector as unknown as Reflector<KubeObject>);
      return reflector;
    };
    const recording = new Proxy<WorkloadParts['client']>(client, {
      get: (target, method: keyof WorkloadParts['client']) => {
        if (method !== 'patch') return target[method].bind(target);
        return (type: ResourceType<Pod>, key: { name: string }, body: object, options: object) => {
          if (type.kind === 'Pod') this.patches.push({ at: performance.now(), name: key.name, body });
          return target.patch(type, key, body, options);
        };
      },
    });
    const caches = {
      pods: reflect(PODS, podView),
      nodes: reflect(NODES),
      namespaces: reflect(NAMESPACES),
      services: reflect(SERVICES),
      networkPolicies: reflect(NETWORK_POLICIES),
      accessPolicies: reflect<KubeObject>(ACCESS_POLICIES),
      rateLimitPolicies: reflect<KubeObject>(RATE_LIMIT_POLICIES),
    };
    await Promise.all(reflectors.map((reflector) => reflector.whenSynced()));
    const workloads = new Workloads({
      client: recording,
      caches,
      config: {
        namespace: 'portcullis-system',
        defaults: { capture: 'Takeover', storeSecret: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
        podPatchesPerSecond,
        evictUnprotected: true,
      },
      bundleKey: bundleKeyFingerprint(BUNDLE_KEY),
      keySetsOf: () => ['auth/trading'],
      events: { record: (event) => this.events.push(event) },
      ...{ clock, random: Math.random, log, registry: this.registry, metrics },
    });
    this.#stops.push(async () => {
      await workloads.stop();
      for (const reflector of reflectors) await reflector.stop();
    });
    return workloads;
  }
}

/** A clock that runs so many times faster than the machine's. */
function fastClock(factor: number): Clock {
  return {
    now: () => systemClock.now() * factor,
    epoch: () => systemClock.epoch(),
    after: (ms, run) => systemClock.after(ms / factor, run),
  };
}

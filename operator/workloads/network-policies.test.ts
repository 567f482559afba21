import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNOTATIONS } from '../../policy/api/names.ts';
import type { KubeObject, Namespace, Pod, Service } from '../kube/objects.ts';
import { NAMESPACES } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import {
  NETWORK_POLICIES,
  type NetworkPolicy,
  type NetworkPolicyInput,
  planNetworkPolicies,
} from './network-policies.ts';
import { createNetworkPolicyKeeper } from './network-policy-keeper.ts';
import { cacheOf, examplePod, written } from './testing/example-pods.ts';

const GENERATE = { [ANNOTATIONS.networkPolicy]: 'Generate' };
const service = (name = 'orders', annotations: Record<string, string> = GENERATE, app = 'orders'): Service => ({
  metadata: { name, namespace: 'shop', uid: `uid-of-${name}`, annotations },
  spec: { selector: { app } },
});
const own = (podSelector: object, more: object = {}): NetworkPolicy => ({
  metadata: { name: 'own', namespace: 'shop' },
  spec: { podSelector, ...more },
});

function plan(changes: Partial<NetworkPolicyInput>) {
  const all = {
    namespace: { metadata: { name: 'shop' } },
    services: [service()],
    pods: [examplePod('a')],
    networkPolicies: [],
  };
  return planNetworkPolicies({ ...all, ...changes }).map((found) => {
    if ('refused' in found) return found.refused;
    if (found.policy === null) return 'leave it';
    const ports = found.policy.spec?.ingress?.[0]?.ports ?? [];
    const ranges = ports.filter(({ protocol }) => protocol === 'TCP').map(({ port, endPort }) => `${port}-${endPort}`);
    return `${found.policy.metadata.name} ${ranges.join(' ')}`;
  });
}

test('which NetworkPolicies a namespace gets', async (t) => {
  const port = (number: number, listen: number) => ({ port: number, name: null, listen });
  const bind = examplePod('b', { injected: { capture: 'Bind', ports: [port(8000, 8000)] } });
  const table: readonly [string, string[], (string | RegExp)[]][] = [
    ['all but the app’s port stays open', plan({}), ['portcullis-orders 1-7999 8001-65535']],
    ['not asked', plan({ services: [service('orders', {})] }), []],
    [
      'asked by the namespace',
      plan({ services: [service('orders', {})], namespace: { metadata: { name: 'shop', annotations: GENERATE } } }),
      ['portcullis-orders 1-7999 8001-65535'],
    ],
    [
      'asked by the pod',
      plan({ services: [service('orders', {})], pods: [examplePod('a', { metadata: { annotations: GENERATE } })] }),
      ['portcullis-orders 1-7999 8001-65535'],
    ],
    [
      'several ports, at the ends too',
      plan({
        pods: [
          examplePod('a', {
            injected: { ports: [port(1, 14180), port(65_535, 14182), port(8000, 14183), port(8001, 14184)] },
          }),
        ],
      }),
      ['portcullis-orders 2-7999 8002-65534'],
    ],
    [
      'two Services over the same pods close the same',
      plan({ services: [service('a'), service('b')] }),
      ['portcullis-a 1-7999 8001-65535', 'portcullis-b 1-7999 8001-65535'],
    ],
    ['the pods of Bind keep their port', plan({ pods: [bind] }), []],
    ['also beside pods of Takeover', plan({ pods: [examplePod('a'), bind] }), []],
    ['pods without sidecar', plan({ pods: [examplePod('a', { injected: null })] }), ['leave it']],
    ['no pods now', plan({ pods: [] }), ['leave it']],
    ['no pods, and not asked', plan({ pods: [], services: [service('orders', {})] }), []],
    [
      'another selects the pods',
      plan({ networkPolicies: [own({ matchLabels: { app: 'orders' } })] }),
      [/^NetworkPolicy own selects the same pods.*port 8000/],
    ],
    ['another selects all pods', plan({ networkPolicies: [own({})] }), [/^NetworkPolicy own/]],
    [
      'another selects by expression',
      plan({ networkPolicies: [own({ matchExpressions: [{ key: 'app', operator: 'Exists' }] })] }),
      [/^NetworkPolicy own/],
    ],
    [
      'another is about egress',
      plan({ networkPolicies: [own({}, { policyTypes: ['Egress'] })] }),
      ['portcullis-orders 1-7999 8001-65535'],
    ],
    [
      'another selects other pods',
      plan({ networkPolicies: [own({ matchLabels: { app: 'x' } })] }),
      ['portcullis-orders 1-7999 8001-65535'],
    ],
    [
      'the name is taken',
      plan({ networkPolicies: [{ ...own({ matchLabels: { app: 'x' } }), metadata: { name: 'portcullis-orders' } }] }),
      [/rename it/],
    ],
  ];
  for (const [name, found, expected] of table) {
    await t.test(name, () => {
      assert.equal(found.length, expected.length, found.join());
      for (const [i, wanted] of expected.entries()) {
        if (typeof wanted === 'string') assert.equal(found[i], wanted);
        else assert.match(found[i] ?? '', wanted);
      }
    });
  }
});

test('selects the injected pods of the Service only, and goes with it', () => {
  const input = {
    namespace: { metadata: { name: 'shop' } },
    services: [service()],
    pods: [examplePod('a')],
    networkPolicies: [],
  };
  const [found] = planNetworkPolicies(input);
  const policy = found && 'policy' in found ? found.policy : null;
  assert.deepEqual(policy?.spec?.podSelector, { matchLabels: { app: 'orders', 'portcullis.dev/injected': 'true' } });
  assert.deepEqual(policy?.metadata.ownerReferences, [
    { apiVersion: 'v1', kind: 'Service', name: 'orders', uid: 'uid-of-orders' },
  ]);
  assert.deepEqual(policy?.spec?.ingress?.[0]?.ports?.slice(-2), [{ protocol: 'UDP' }, { protocol: 'SCTP' }]);
});

test('writes once, corrects, says why not, and removes only ours', async () => {
  const client = new MemoryKubeClient();
  const services = cacheOf<Service>(service());
  const pods = cacheOf<Pod>(examplePod('a'));
  const said: string[] = [];
  const namespaces = client.cache<Namespace>(NAMESPACES);
  await client.create(NAMESPACES, { metadata: { name: 'shop' } });
  await client.create(NETWORK_POLICIES, own({ matchLabels: { app: 'x' } }));
  const events = { record: ({ reason }: { reason: string }) => said.push(reason) };
  const reconcile = createNetworkPolicyKeeper({
    ...{ client, services, pods, namespaces, events, networkPolicies: client.cache(NETWORK_POLICIES) },
  });
  const names = async () =>
    (await client.list<KubeObject>(NETWORK_POLICIES)).items.map(({ metadata }) => metadata.name).sort();
  const writes = () => client.requests.filter(({ verb }) => verb === 'apply').length;

  for (let i = 0; i < 3; i++) assert.deepEqual(await reconcile('shop'), { afterMs: null });
  assert.deepEqual(await names(), ['own', 'portcullis-orders']);
  assert.equal(writes(), 1);
  await client.patch(NETWORK_POLICIES, { namespace: 'shop', name: 'portcullis-orders' }, { spec: { ingress: [{}] } });
  await reconcile('shop');
  assert.equal(writes(), 2);

  pods.delete({ namespace: 'shop', name: 'a' });
  await reconcile('shop');
  assert.deepEqual(await names(), ['own', 'portcullis-orders'], 'between two pods it stays');
  pods.set(examplePod('a'));
  await client.patch(
    NETWORK_POLICIES,
    { namespace: 'shop', name: 'own' },
    { spec: { podSelector: { matchLabels: null } } },
  );
  assert.deepEqual(await reconcile('shop'), { afterMs: 30 * 60_000 });
  assert.deepEqual([await names(), said], [['own'], ['NetworkPolicyNotGenerated']]);

  await client.delete(NETWORK_POLICIES, { namespace: 'shop', name: 'own' });
  await reconcile('shop');
  assert.deepEqual(await names(), ['portcullis-orders']);
  services.set(written(service('orders', {})));
  await reconcile('shop');
  assert.deepEqual(await names(), []);
});

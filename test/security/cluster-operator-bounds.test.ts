import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MUTATING, VALIDATING } from '../../operator/injection/certificates-reconcile.ts';
import { connectKubeClient } from '../../operator/kube/https-kube-client.ts';
import type { KubeClient } from '../../operator/kube/kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { NAMESPACES, PODS, SECRETS, type Secret } from '../../operator/kube/objects.ts';
import { MANAGED_BY, NETWORK_POLICIES, type NetworkPolicy } from '../../operator/workloads/network-policies.ts';
import { installedChart, operatorKubeConfig, succeeds, untilRefused } from '../chart/installed-chart.ts';
import { NAMESPACE, RELEASE } from '../chart/rendered-chart.ts';

// Who has taken over the operator holds its token. What it cannot be bounded from by RBAC, admission policies keep from it.

const HOLDS = { 'portcullis.dev/holds': 'bundle' };
const GONE = [{ apiVersion: 'v1', kind: 'Node', name: 'gone', uid: 'a0a0a0a0-0000-0000-0000-000000000000' }];
const INJECTED = { matchLabels: { 'portcullis.dev/injected': 'true' } };
const BUNDLES_ONLY = /only bundles/;
const OURS_ONLY = /labelled app\.kubernetes\.io\/managed-by=portcullis/;
const CA_ONLY = /only caBundle/;

type Attempt = (operator: KubeClient) => Promise<unknown>;

const secret =
  (namespace: string, name: string, more: { type?: string; labels?: object; annotations?: object } = {}): Attempt =>
  (operator) => {
    const { type, labels, annotations } = more;
    const metadata = { namespace, name, labels: { ...HOLDS, ...labels }, ...(annotations && { annotations }) };
    return operator.create(SECRETS, { metadata, ...(type && { type }) } as Secret);
  };
const networkPolicy =
  (name: string, podSelector: object, labels: object = MANAGED_BY): Attempt =>
  (operator) =>
    operator.create(NETWORK_POLICIES, {
      metadata: { namespace: 'shop', name, labels },
      spec: { podSelector, policyTypes: ['Ingress'], ingress: [] },
    } as NetworkPolicy);
const webhooks =
  (type: typeof MUTATING, patch: object): Attempt =>
  (operator) =>
    operator.patch(type, { name: RELEASE }, patch, { strategic: true });
const clientConfig = (change: object) => ({
  webhooks: [{ name: 'guarded.pods.portcullis.dev', clientConfig: change }],
});
const evict =
  (namespace: string): Attempt =>
  (operator) =>
    operator.evict({ namespace, name: 'victim' });

const ATTEMPTS: readonly (readonly [name: string, attempt: Attempt, refused: RegExp | null])[] = [
  ['a bundle', secret('shop', 'portcullis-access-web'), null],
  ['a keyring in its own namespace', secret(NAMESPACE, 'shop.keys-keyring'), null],
  ['its certificates', secret(NAMESPACE, 'certificates', { type: 'Opaque' }), null],
  [
    'a Secret that another controller acts on',
    secret('shop', 'cluster', { labels: { 'a/b': 'cluster' } }),
    BUNDLES_ONLY,
  ],
  [
    'a token of another ServiceAccount',
    secret('kube-system', 'portcullis-access-token', {
      type: 'kubernetes.io/service-account-token',
      annotations: { 'kubernetes.io/service-account.name': 'boss' },
    }),
    /only Secrets of the types/,
  ],
  [
    'a bootstrap token',
    secret('kube-system', 'bootstrap-token-abcdef', { type: 'bootstrap.kubernetes.io/token' }),
    BUNDLES_ONLY,
  ],
  [
    'a namespace that the garbage collector then deletes',
    (operator) => operator.patch(NAMESPACES, { name: 'shop' }, { metadata: { ownerReferences: GONE } }),
    /only the label portcullis\.dev\/guarded/,
  ],

  ['a NetworkPolicy of its own', networkPolicy('portcullis-web', INJECTED), null],
  [
    'to remove it',
    (operator) => operator.delete(NETWORK_POLICIES, { namespace: 'shop', name: 'portcullis-web' }),
    null,
  ],
  ['a NetworkPolicy without its label', networkPolicy('open', INJECTED, {}), OURS_ONLY],
  ['a NetworkPolicy of all pods', networkPolicy('cut-off', {}), /select only pods labelled/],
  [
    'to open a NetworkPolicy of somebody else',
    (operator) =>
      operator.patch(NETWORK_POLICIES, { namespace: 'shop', name: 'deny' }, { metadata: { labels: MANAGED_BY } }),
    OURS_ONLY,
  ],
  [
    'to delete a NetworkPolicy of somebody else',
    (operator) => operator.delete(NETWORK_POLICIES, { namespace: 'shop', name: 'deny' }),
    OURS_ONLY,
  ],

  ['the authority of a webhook', webhooks(MUTATING, clientConfig({ caBundle: 'YQ==' })), null],
  ['where a webhook is', webhooks(MUTATING, clientConfig({ service: { namespace: 'shop', name: 'evil' } })), CA_ONLY],
  [
    'a webhook for everything',
    webhooks(MUTATING, {
      webhooks: [
        {
          name: 'evil.portcullis.dev',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          clientConfig: { url: 'https://evil.example/' },
          rules: [{ apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*'] }],
        },
      ],
    }),
    CA_ONLY,
  ],
  [
    'a webhook that lets pods through',
    webhooks(MUTATING, { webhooks: [{ name: 'guarded.pods.portcullis.dev', failurePolicy: 'Ignore' }] }),
    CA_ONLY,
  ],
  [
    'no webhook any more',
    webhooks(VALIDATING, { webhooks: [{ name: 'services.portcullis.dev', $patch: 'delete' }] }),
    CA_ONLY,
  ],
  ['webhooks that are collected', webhooks(VALIDATING, { metadata: { ownerReferences: GONE } }), CA_ONLY],

  ['to evict a pod', evict('shop'), null],
  ['to evict a pod of kube-system', evict('kube-system'), /evicts no pods/],
];

test('with the token of the operator', async (t) => {
  const chart = await installedChart(t);
  if (!chart) return;
  const { server, kubectl } = chart;
  const admin = connectKubeClient(loadKubeConfig({ path: server.kubeconfig }));
  const operator = connectKubeClient(await operatorKubeConfig(server));
  t.after(() => {
    admin.close();
    operator.close();
  });
  await succeeds(kubectl(['create', 'namespace', 'shop']));
  for (const namespace of ['shop', 'kube-system']) {
    const pod = { metadata: { namespace, name: 'victim' }, spec: { containers: [{ name: 'a', image: 'a:1' }] } };
    await admin.create(PODS, pod);
  }
  const deny = { metadata: { namespace: 'shop', name: 'deny' }, spec: { podSelector: {}, policyTypes: ['Ingress'] } };
  await admin.create(NETWORK_POLICIES, deny);
  await chart.apply(chart.webhooks);
  // The admission policies were all created before the one that answers here.
  let probes = 0;
  await untilRefused(() => secret('shop', `probe-${probes++}`)(operator));
  await untilRefused(() => webhooks(MUTATING, { metadata: { labels: { probe: String(probes++) } } })(operator));

  for (const [name, attempt, refused] of ATTEMPTS) {
    await t.test(refused === null ? `has ${name}` : `has not: ${name}`, async () => {
      if (refused === null) await attempt(operator);
      else await assert.rejects(attempt(operator), refused);
    });
  }
});

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { connectKubeClient } from '../../operator/kube/https-kube-client.ts';
import type { KubeClient } from '../../operator/kube/kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { NAMESPACES, PODS, type ResourceType, SECRETS } from '../../operator/kube/objects.ts';
import { SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { CERTIFICATES } from '../../operator/workloads/certificates.ts';
import { MANAGED_BY } from '../../operator/workloads/network-policies.ts';
import { installCertManagerCrd } from '../contract/cert-manager-crd.ts';
import {
  type InstalledChart,
  installedChart,
  list,
  operatorKubeConfig,
  succeeds,
  untilRefused,
} from './installed-chart.ts';
import { EVERYTHING, findManifest, NAMESPACE, RELEASE, renderChart } from './rendered-chart.ts';

const OPERATOR = `system:serviceaccount:${NAMESPACE}:${RELEASE}`;
/** Groups of kinds that other projects' CRDs would bring. */
const FOREIGN = ['monitoring.coreos.com', 'cert-manager.io'];

test('the chart in a real kube-apiserver', async (t) => {
  const chart = await installedChart(t);
  if (!chart) return;
  await t.test('every object is accepted with every option', async () => {
    const everything = (await renderChart(chart.helm, EVERYTHING)).filter(
      ({ apiVersion }) => !FOREIGN.includes(apiVersion.split('/')[0]!),
    );
    await chart.apply(everything, '--dry-run=server', '--force-conflicts');
  });
  await t.test('its pods pass the restricted pod security standard', () => passRestricted(chart));
  await t.test('the operator may do what it needs and nothing more', (t) => compareRights(t, chart));
  await t.test('what it may write is bounded', (t) => boundWrites(t, chart));
});

async function passRestricted({ server, kubectl, manifests }: InstalledChart): Promise<void> {
  await succeeds(kubectl(['label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted']));
  const { template } = findManifest(manifests, 'Deployment')['spec'];
  const path = `/api/v1/namespaces/${NAMESPACE}/pods?dryRun=All&fieldValidation=Strict`;
  const pods = [
    { metadata: { ...template.metadata, name: 'operator' }, spec: template.spec },
    findManifest(manifests, 'Pod', `${RELEASE}-test`),
  ];
  for (const { metadata, spec } of pods) {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec };
    const { status, body } = await server.request('POST', path, pod);
    assert.equal(status, 201, JSON.stringify(body).slice(0, 1000));
    const loose = { ...pod, spec: { ...spec, securityContext: {} } };
    assert.equal((await server.request('POST', path, loose)).status, 403, 'the standard is not enforced here');
  }
}

const ALLOWED = `
  portcullis.dev     list    accesspolicies              -                 any
  portcullis.dev     watch   signingkeysets              -                 any
  portcullis.dev     patch   signingkeysets              -                 any
  portcullis.dev     patch   ratelimitpolicies/status    -                 any
  -                  get     secrets                     -                 any
  -                  create  secrets                     -                 any
  -                  delete  secrets                     -                 any
  -                  list    configmaps                  -                 any
  -                  watch   configmaps                  -                 any
  -                  patch   namespaces                  -                 -
  -                  list    pods                        -                 any
  -                  watch   services                    -                 any
  -                  list    nodes                       -                 -
  -                  patch   pods/status                 -                 any
  -                  create  pods/eviction               -                 any
  -                  create  events                      -                 any
  apps               patch   statefulsets                -                 any
  apps               get     replicasets                 -                 any
  networking.k8s.io  create  networkpolicies             -                 any
  cert-manager.io    patch   certificates                -                 any
  admissionregistration.k8s.io patch mutatingwebhookconfigurations   portcullis -
  admissionregistration.k8s.io get   validatingwebhookconfigurations portcullis -
  coordination.k8s.io create leases                      -                 portcullis-system
  coordination.k8s.io update leases                      portcullis        portcullis-system
`;

const DENIED = `
  portcullis.dev     patch   accesspolicies              -                 any
  portcullis.dev     create  signingkeysets              -                 any
  portcullis.dev     update  signingkeysets              -                 any
  portcullis.dev     delete  signingkeysets              -                 any
  portcullis.dev     delete  ratelimitpolicies           -                 any
  -                  deletecollection secrets            -                 any
  -                  create  pods                        -                 any
  -                  patch   pods                        -                 any
  -                  delete  pods                        -                 any
  -                  create  pods/exec                   -                 any
  -                  create  pods/ephemeralcontainers    -                 any
  -                  create  serviceaccounts/token       -                 portcullis-system
  -                  patch   services                    -                 any
  -                  patch   nodes                       -                 -
  -                  delete  namespaces                  -                 -
  -                  get     configmaps                  -                 any
  -                  impersonate users                   -                 -
  apps               create  deployments                 -                 any
  apps               delete  deployments                 -                 any
  apps               patch   replicasets                 -                 any
  batch              create  jobs                        -                 any
  cert-manager.io    update  certificates                -                 any
  cert-manager.io    create  issuers                     -                 any
  cert-manager.io    create  certificaterequests         -                 any
  coordination.k8s.io update leases                      portcullis        any
  coordination.k8s.io update leases                      other             portcullis-system
  admissionregistration.k8s.io patch  mutatingwebhookconfigurations     other      -
  admissionregistration.k8s.io create mutatingwebhookconfigurations     -          -
  admissionregistration.k8s.io delete validatingwebhookconfigurations   portcullis -
  admissionregistration.k8s.io patch  validatingadmissionpolicies       portcullis-secrets -
  rbac.authorization.k8s.io    create clusterrolebindings               -          -
  rbac.authorization.k8s.io    escalate clusterroles                    -          -
`;

async function compareRights(t: TestContext, { server }: InstalledChart): Promise<void> {
  for (const [table, expected] of [
    [ALLOWED, true],
    [DENIED, false],
  ] as const) {
    for (const line of table.trim().split('\n')) {
      const [group, verb, resourcePath = '', name, namespace] = line
        .trim()
        .split(/ +/)
        .map((word) => (word === '-' ? '' : word));
      const [resource, subresource] = resourcePath.split('/');
      await t.test(`${expected ? 'may' : 'may not'} ${line.trim().replaceAll(/ +/g, ' ')}`, async () => {
        const resourceAttributes = { group, verb, resource, subresource, name, namespace };
        const { body } = await server.request('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SubjectAccessReview',
          spec: { user: OPERATOR, groups: ['system:serviceaccounts', 'system:authenticated'], resourceAttributes },
        });
        assert.equal((body as { status: { allowed: boolean } }).status.allowed, expected);
      });
    }
  }
}

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' }, annotations: { team: 'a' } },
  spec: { containers: [{ name: 'web', image: 'web:1' }] },
};
const STATUS = {
  phase: 'Running',
  podIP: '10.0.0.7',
  podIPs: [{ ip: '10.0.0.7' }],
  conditions: [{ type: 'Ready', status: 'True' }],
};
const DEPLOYMENTS: ResourceType<typeof DEPLOYMENT> = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  plural: 'deployments',
  namespaced: true,
};
const DEPLOYMENT = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: POD.spec },
  },
};
const KEY_SET = {
  apiVersion: 'portcullis.dev/v1alpha1',
  kind: 'SigningKeySet',
  metadata: {
    name: 'trading',
    namespace: 'shop',
    labels: { team: 'a' },
    annotations: { team: 'a' },
    finalizers: ['example.com/theirs'],
  },
  spec: { algorithm: 'ES256', issuer: 'https://auth.example', audiences: ['trading'], maxTokenLifetime: '1h' },
};
const HOLDS = { 'portcullis.dev/holds': 'bundle' };
const EXPORT = { 'portcullis.dev/holds': 'key-set-exports' };
const KEYRING = { 'portcullis.dev/holds': 'keyring' };
const secret = (name: string, labels = {}, more: { type?: string; annotations?: object } = {}, namespace = 'shop') => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace, labels, annotations: { ...more.annotations } },
  type: more.type ?? 'Opaque',
});

type Write = (client: KubeClient) => Promise<unknown>;

const podStatus =
  (patch: object): Write =>
  (client) =>
    client.patch(PODS, POD.metadata, patch, { subresource: 'status', strategic: true });
const namespace =
  (patch: object): Write =>
  (client) =>
    client.patch(NAMESPACES, { name: 'shop' }, { metadata: patch });
const deployment =
  (patch: object): Write =>
  (client) =>
    client.patch(DEPLOYMENTS, DEPLOYMENT.metadata, patch);
const patchSecret =
  (name: string, patch: object): Write =>
  (client) =>
    client.patch(SECRETS, { namespace: 'shop', name }, patch);
const createSecret =
  (...made: Parameters<typeof secret>): Write =>
  (client) =>
    client.create(SECRETS, secret(...made));
const deleteSecret =
  (name: string, namespace = 'shop'): Write =>
  (client) =>
    client.delete(SECRETS, { namespace, name });
const keySet =
  (patch: object): Write =>
  (client) =>
    client.patch(SIGNING_KEY_SETS, KEY_SET.metadata, patch);
const finalizers = (...all: string[]): Write => keySet({ metadata: { finalizers: all } });

const touched = { metadata: { annotations: { 'portcullis.dev/touched': '1' } } };
const condition = (type: string, status: string) => ({ status: { conditions: [{ type, status }] } });
const templateAnnotation = (name: string) => ({ spec: { template: { metadata: { annotations: { [name]: 'x' } } } } });
const template = (spec: object) => ({ spec: { template: { spec } } });
const data = { data: { a: 'YQ==' } };
const SERIAL = { 'portcullis.dev/serial': '2' };
const GONE = [{ apiVersion: 'v1', kind: 'Node', name: 'gone', uid: 'a0a0a0a0-0000-0000-0000-000000000000' }];

const certificate =
  (spec: object, more: { name?: string; labels?: object } = {}): Write =>
  (client) => {
    const { name = 'web-tls', labels = MANAGED_BY } = more;
    const metadata = { name, namespace: 'shop', labels: { ...labels } };
    const full = { ...ISSUED, secretName: name, ...spec };
    return client.apply(CERTIFICATES, { apiVersion: 'cert-manager.io/v1', kind: 'Certificate', metadata, spec: full });
  };
const ISSUED = {
  secretName: 'web-tls',
  dnsNames: ['web.shop.svc', '*.web.shop.svc.cluster.local'],
  issuerRef: { name: 'ca', kind: 'ClusterIssuer', group: 'cert-manager.io' },
  usages: ['digital signature', 'server auth'],
  privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
};
const CERTIFICATE_NAMES = /name only Services of their namespace/;
const CERTIFICATE_MEMBERS = /are for servers and have no members but/;

const CONDITIONS_ONLY = /only conditions/;
const OUR_CONDITIONS = /only those of types portcullis\.dev/;
const TOUCHED_ONLY = /only portcullis\.dev\/touched/;
const NOT_METADATA = /labels and finalizers of a pod/;
const RESTART_ONLY = /only the pod template's annotation portcullis\.dev\/restarted-at/;
const NEITHER = /only bundles and what apps read of key sets/;
const OUR_METADATA = /no labels and annotations but portcullis\.dev/;
const FINALIZER_AND_ANNOTATION =
  /only the finalizer portcullis\.dev\/keys and the annotation portcullis\.dev\/initialised/;

/** What the operator's ServiceAccount sends, and what it is told when that is refused. */
const WRITES: readonly (readonly [name: string, write: Write, refused: RegExp | null])[] = [
  ['touches a pod', podStatus(touched), null],
  ['says that a pod enforces', podStatus(condition('portcullis.dev/Enforced', 'True')), null],
  ['says so otherwise', podStatus(condition('portcullis.dev/Enforced', 'False')), null],
  ['both at once', podStatus({ ...touched, ...condition('portcullis.dev/Protected', 'True') }), null],
  [
    'the address of a pod',
    podStatus({ status: { podIP: '10.0.0.8', podIPs: [{ $patch: 'replace' }, { ip: '10.0.0.8' }] } }),
    CONDITIONS_ONLY,
  ],
  ['the phase of a pod', podStatus({ status: { phase: 'Failed' } }), CONDITIONS_ONLY],
  ['a message where there was none', podStatus({ status: { message: 'x' } }), CONDITIONS_ONLY],
  ['an address taken away', podStatus({ status: { podIP: null, podIPs: null } }), CONDITIONS_ONLY],
  ['whether a pod is Ready', podStatus(condition('Ready', 'False')), OUR_CONDITIONS],
  ['another condition', podStatus(condition('example.com/Gate', 'True')), OUR_CONDITIONS],
  [
    'a condition taken away',
    podStatus({ status: { conditions: [{ type: 'Ready', $patch: 'delete' }] } }),
    OUR_CONDITIONS,
  ],
  ['another annotation of a pod', podStatus({ metadata: { annotations: { team: 'b' } } }), TOUCHED_ONLY],
  ['an annotation taken away', podStatus({ metadata: { annotations: { team: null } } }), TOUCHED_ONLY],
  ['a label of a pod', podStatus({ metadata: { labels: { app: 'other' } } }), NOT_METADATA],
  ['a finalizer of a pod', podStatus({ metadata: { finalizers: ['example.com/x'] } }), NOT_METADATA],

  ['creates a bundle', createSecret('portcullis-access-new', HOLDS), null],
  ['creates what tokens are signed by', createSecret('portcullis-issuer-new', HOLDS), null],
  ['removes it', deleteSecret('portcullis-issuer-web'), null],
  ['creates a Secret without the label', createSecret('sesame'), /writes only Secrets labelled/],
  ['changes its own Secret', patchSecret('portcullis-access-web', data), null],
  ['changes a Secret of somebody else', patchSecret('database', data), /writes only Secrets labelled/],
  ['makes it its own', patchSecret('database', { metadata: { labels: HOLDS } }), /changes only Secrets labelled/],
  [
    'puts a bundle right whose label was removed',
    patchSecret('portcullis-limits-web', { metadata: { labels: HOLDS } }),
    null,
  ],
  ['deletes its own Secret', deleteSecret('portcullis-access-web'), null],
  ['deletes a Secret of somebody else', deleteSecret('database'), /changes only Secrets labelled/],

  ['writes what apps read of a key set', createSecret('trading-jwks', EXPORT), null],
  ['writes it again', patchSecret('trading-jwks', { ...data, metadata: { annotations: SERIAL } }), null],
  ['writes it as a bundle', patchSecret('trading-jwks', { metadata: { labels: HOLDS } }), NEITHER],
  ['another Secret where no bundle is', createSecret('sesame', HOLDS), NEITHER],
  ['a keyring where apps read', createSecret('sesame', KEYRING), NEITHER],
  ['what apps read under a name of ours', createSecret('portcullis-jwks', EXPORT), NEITHER],
  ['what apps read, of another type', createSecret('sesame', EXPORT, { type: 'example.com/keys' }), NEITHER],
  [
    'what apps read, for another controller',
    createSecret('sesame', { ...EXPORT, 'argocd/type': 'cluster' }),
    OUR_METADATA,
  ],
  [
    'the same by an annotation',
    createSecret('sesame', EXPORT, { annotations: { 'replicator/to': '.*' } }),
    OUR_METADATA,
  ],
  ['a label on what is written', patchSecret('trading-jwks', { metadata: { labels: { team: 'a' } } }), OUR_METADATA],
  [
    'takes a Secret of somebody else for what apps read',
    patchSecret('database', { metadata: { labels: EXPORT } }),
    /changes only Secrets labelled/,
  ],
  ['changes what carries the label, but is of another type', patchSecret('typed', data), NEITHER],
  ['deletes what carries the label, but is of another type', deleteSecret('typed'), NEITHER],
  ['deletes what apps read', deleteSecret('trading-jwks'), null],
  ['deletes what users added labels to', deleteSecret('old-jwks'), null],
  ['deletes a keyring', deleteSecret('shop.trading-keyring', NAMESPACE), null],
  ['deletes what is no key in its namespace', deleteSecret('registry', NAMESPACE), /changes only Secrets labelled/],

  ['holds a key set', finalizers('example.com/theirs', 'portcullis.dev/keys'), null],
  ['lets it go', finalizers('example.com/theirs'), null],
  ["lets another's hold go", finalizers('portcullis.dev/keys'), FINALIZER_AND_ANNOTATION],
  ['holds it as somebody else', finalizers('example.com/theirs', 'example.com/x'), FINALIZER_AND_ANNOTATION],
  ['notes that it has keys', keySet({ metadata: { annotations: { 'portcullis.dev/initialised': 'true' } } }), null],
  [
    'has it rotate',
    keySet({ metadata: { annotations: { 'portcullis.dev/rotate-requested-at': 'x' } } }),
    FINALIZER_AND_ANNOTATION,
  ],
  ['takes an annotation away', keySet({ metadata: { annotations: { team: null } } }), FINALIZER_AND_ANNOTATION],
  ['a label of a key set', keySet({ metadata: { labels: { team: 'b' } } }), FINALIZER_AND_ANNOTATION],
  ['has it collected', keySet({ metadata: { ownerReferences: GONE } }), FINALIZER_AND_ANNOTATION],
  ['its spec', keySet({ spec: { usableFrom: { namespaceSelector: {} } } }), /spec of a key set is not the operator's/],
  ['revokes a key', keySet({ spec: { revocations: [{ kid: 'k1' }] } }), /spec of a key set is not the operator's/],

  ['guards a namespace', namespace({ labels: { 'portcullis.dev/guarded': 'true' } }), null],
  ['guards it no more', namespace({ labels: { 'portcullis.dev/guarded': null } }), null],
  [
    'loosens its pod security',
    namespace({ labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } }),
    /only portcullis\.dev\/guarded/,
  ],
  ['an annotation of a namespace', namespace({ annotations: { x: 'y' } }), /only the label portcullis\.dev\/guarded/],

  ['asks for a certificate', certificate({}), null],
  ['asks for another name of the namespace', certificate({ dnsNames: ['b.shop.svc'] }), null],
  ['a certificate for another namespace', certificate({ dnsNames: ['web.bank.svc'] }), CERTIFICATE_NAMES],
  ['for a name of the world', certificate({ dnsNames: ['example.com'] }), CERTIFICATE_NAMES],
  ['for something that ends alike', certificate({ dnsNames: ['bankshop.svc'] }), CERTIFICATE_NAMES],
  ['for a name elsewhere', certificate({ commonName: 'bank' }), CERTIFICATE_MEMBERS],
  ['of an authority', certificate({ isCA: true }), CERTIFICATE_MEMBERS],
  ['for clients', certificate({ usages: ['client auth'] }), CERTIFICATE_MEMBERS],
  ['with labels for its Secret', certificate({ secretTemplate: { labels: {} } }), CERTIFICATE_MEMBERS],
  ['into a Secret of another name', certificate({ secretName: 'database' }), /only the Secret of their own name/],
  ['a certificate without the label', certificate({}, { name: 'b', labels: {} }), /only Certificates labelled/],
  [
    'deletes a certificate of somebody else',
    (client) => client.delete(CERTIFICATES, { namespace: 'shop', name: 'theirs' }),
    /only Certificates labelled/,
  ],
  ['deletes its own', (client) => client.delete(CERTIFICATES, { namespace: 'shop', name: 'web-tls' }), null],

  ['restarts a Deployment', deployment(templateAnnotation('portcullis.dev/restarted-at')), null],
  ['another annotation of its pods', deployment(templateAnnotation('portcullis.dev/inject')), RESTART_ONLY],
  ['another image', deployment(template({ containers: [{ name: 'web', image: 'evil:1' }] })), RESTART_ONLY],
  ['another ServiceAccount', deployment(template({ serviceAccountName: 'admin' })), RESTART_ONLY],
  ['other replicas', deployment({ spec: { replicas: 0 } }), RESTART_ONLY],
  ['a label of a Deployment', deployment({ metadata: { labels: { a: 'b' } } }), RESTART_ONLY],
];

async function boundWrites(t: TestContext, { server, kubectl }: InstalledChart): Promise<void> {
  const admin = connectKubeClient(loadKubeConfig({ path: server.kubeconfig }));
  const operator = connectKubeClient(await operatorKubeConfig(server));
  t.after(() => {
    admin.close();
    operator.close();
  });
  await succeeds(kubectl(['create', 'namespace', 'shop']));
  const secrets = [
    secret('database'),
    secret('portcullis-access-web', HOLDS),
    secret('portcullis-limits-web'),
    secret('portcullis-issuer-web', HOLDS),
    secret('old-jwks', { ...EXPORT, team: 'a' }),
    secret('typed', EXPORT, { type: 'example.com/keys' }),
    secret('shop.trading-keyring', KEYRING, {}, NAMESPACE),
    secret('registry', {}, {}, NAMESPACE),
  ];
  await succeeds(kubectl(['create', '-f', '-'], list([POD, DEPLOYMENT, KEY_SET, ...secrets])));
  await installCertManagerCrd(server);
  const theirs = { apiVersion: 'cert-manager.io/v1', kind: 'Certificate', metadata: { name: 'theirs' }, spec: ISSUED };
  await succeeds(kubectl(['create', '-n', 'shop', '-f', '-'], JSON.stringify(theirs)));
  await podStatus({ status: STATUS })(admin);
  let probes = 0;
  await untilRefused(() => createSecret(`probe-${probes++}`)(operator));

  for (const [name, write, refused] of WRITES) {
    await t.test(refused === null ? name : `not: ${name}`, async () => {
      if (refused === null) await write(operator);
      else await assert.rejects(write(operator), refused);
    });
  }
  await t.test('by the status of a key set nothing else is changed', async () => {
    const before = await admin.get(SIGNING_KEY_SETS, KEY_SET.metadata);
    const patch = { metadata: { finalizers: [], labels: { team: 'b' } }, spec: { deletionPolicy: 'Delete' } };
    await operator.patch(
      SIGNING_KEY_SETS,
      KEY_SET.metadata,
      { ...patch, status: { serial: 1 } },
      { subresource: 'status' },
    );
    const { metadata, spec, status } = (await admin.get(SIGNING_KEY_SETS, KEY_SET.metadata))!;
    assert.deepEqual(status, { serial: 1 });
    assert.deepEqual({ ...metadata, resourceVersion: before?.metadata.resourceVersion }, before?.metadata);
    assert.deepEqual(spec, before?.spec);
  });
  await t.test('others are not bounded', async () => {
    await podStatus({ status: { phase: 'Failed' } })(admin);
    await patchSecret('database', data)(admin);
  });
}

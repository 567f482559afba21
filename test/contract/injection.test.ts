import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { injectPod } from '../../operator/injection/inject-pod.ts';
import { bundleKeyFingerprint } from '../../operator/injection/injected.ts';
import type { Container, Pod, Service, ServicePort } from '../../operator/kube/objects.ts';
import { coverageOf } from '../../operator/workloads/coverage.ts';
import { injectionChanges } from '../../operator/workloads/coverage-changes.ts';
import {
  annotated,
  coverageInput,
  exampleNamespace,
  exampleService,
  TEMPLATE,
} from '../../operator/workloads/testing/coverage-objects.ts';
import type { ApiServer } from '../cluster/api-server.ts';
import { apiServerFor, kubectlFor } from '../cluster/require-api-server.ts';

type PodSpec = NonNullable<Pod['spec']>;

const KEY = 'MCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const ASK = { 'access-policy': 'orders', 'rate-limit-policy': 'standard' };
const BARE: Container = { name: 'app', image: 'trading:1', ports: [{ name: 'http', containerPort: 8000 }] };
const HARDENED: Container = {
  ...BARE,
  securityContext: {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  },
};

interface Shape {
  readonly name: string;
  readonly spec: PodSpec;
  readonly notes?: Readonly<Record<string, string>>;
  readonly ports?: readonly ServicePort[];
  /** The restricted profile forbids what the pod itself asks for. */
  readonly privileged?: true;
}

const named = (name: string, parts: Partial<Container> = {}): Container => ({ ...HARDENED, ports: [], ...parts, name });
const get = (port: number | string) => ({
  httpGet: { path: '/healthz', port, scheme: 'HTTPS', httpHeaders: [{ name: 'X-A', value: '$(A)' }] },
  periodSeconds: 2,
});
const numeric: readonly ServicePort[] = [{ port: 80, targetPort: 8000 }];

const shapes: readonly Shape[] = [
  { name: 'hardened', spec: { containers: [HARDENED] } },
  { name: 'harden-restricted', spec: { containers: [BARE] }, notes: { harden: 'Restricted' } },
  { name: 'harden-read-only', spec: { containers: [BARE] }, notes: { harden: 'ReadOnly' } },
  {
    name: 'harden-init',
    spec: { containers: [BARE], initContainers: [{ name: 'init', image: 'x' }] },
    notes: { harden: 'ReadOnly' },
  },
  {
    name: 'hundred',
    spec: {
      containers: Array.from({ length: 100 }, (_, i) => ({
        ...BARE,
        name: `c${i}`,
        ports: [{ name: 'http', containerPort: 8000 + i }],
      })),
    },
    notes: { harden: 'ReadOnly' },
  },
  { name: 'tls', spec: { containers: [HARDENED] }, notes: { 'tls-secret': 'orders-tls' } },
  { name: 'job', spec: { containers: [HARDENED], restartPolicy: 'Never' } },
  { name: 'no-ports', spec: { containers: [named('app')], restartPolicy: 'OnFailure' } },
  { name: 'init', spec: { containers: [HARDENED], initContainers: [named('one'), named('two')] } },
  {
    name: 'native',
    spec: {
      containers: [HARDENED],
      initContainers: [named('own', { restartPolicy: 'Always', ports: [{ name: 'metrics', containerPort: 9000 }] })],
    },
    ports: [
      { port: 80, targetPort: 'http' },
      { port: 90, targetPort: 'metrics' },
    ],
  },
  { name: 'twin', spec: { containers: [HARDENED, named('twin', { ports: [{ name: 'http', containerPort: 8001 }] })] } },
  {
    name: 'probes',
    spec: {
      containers: [
        named('app', {
          ports: [{ name: 'http', containerPort: 8000 }],
          readinessProbe: get('http'),
          livenessProbe: { tcpSocket: { port: 'http' }, timeoutSeconds: 3 },
          startupProbe: get(8000),
          lifecycle: { postStart: { httpGet: { path: '/', port: 'http' } } },
        }),
      ],
    },
  },
  {
    name: 'bind',
    spec: { containers: [named('app', { readinessProbe: get(80), livenessProbe: get(80), startupProbe: get(80) })] },
    notes: { capture: 'Bind', 'bind-env': 'HOST' },
    ports: [{ port: 80, targetPort: 80 }],
  },
  {
    name: 'own-settings',
    spec: {
      containers: [HARDENED],
      securityContext: { runAsUser: 1000, fsGroup: 2000, sysctls: [{ name: 'net.ipv4.tcp_syncookies', value: '1' }] },
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: 'data', emptyDir: {} }],
      shareProcessNamespace: true,
    },
  },
  { name: 'refused', spec: { containers: [HARDENED] }, ports: numeric },
  { name: 'long-names', spec: { containers: [HARDENED] }, notes: { 'access-policy': 'p'.repeat(63) } },
  {
    name: 'host-port',
    spec: { containers: [{ ...BARE, ports: [{ name: 'http', containerPort: 8000, hostPort: 8000 }] }] },
    privileged: true,
  },
];

test('kube-apiserver and injected pods', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  for (const [name, level] of [
    ['restricted', 'restricted'],
    ['open', 'privileged'],
  ] as const) {
    const labels = { 'pod-security.kubernetes.io/enforce': level };
    await request(server, '/api/v1/namespaces', { metadata: { name, labels } });
  }
  for (const shape of shapes) await t.test(`accepts ${shape.name}`, () => accepts(server, shape));
  await t.test('refuses a bare application, not the sidecar, where pods are restricted', () => refusesBare(server));
  await t.test('warns of no port name that two containers have', (t) => warnsOfNone(t, server));
});

function inputOf({ name, spec, notes = {}, ports }: Shape) {
  const pod: Pod = {
    metadata: { name, labels: { app: 'trading' }, annotations: annotated({ ...ASK, ...notes }) },
    spec,
  };
  const services: Service[] = ports || JSON.stringify(spec).includes('http') ? [exampleService('web', {}, ports)] : [];
  return coverageInput({ pod, services, namespace: exampleNamespace() });
}

function inject(shape: Shape): Pod {
  const input = inputOf(shape);
  const options = {
    namespace: 'restricted',
    sidecar: TEMPLATE,
    bundleKey: KEY,
    serials: { access: 1, limits: 2, issuer: 3 },
  };
  const injected = injectPod(input.pod, coverageOf(input), options);
  assert.notEqual(injected, input.pod, 'not injected');
  return injected;
}

async function request(server: ApiServer, path: string, object: object): Promise<unknown> {
  const { status, body } = await server.request('POST', `${path}?fieldValidation=Strict`, object);
  assert.equal(status, 201, String((body as { message?: string }).message));
  return body;
}

/** What is stored, with all that the API server fills in, is taken as it would have been injected. */
async function accepts(server: ApiServer, shape: Shape): Promise<void> {
  const injected = inject(shape);
  const stored = (await request(
    server,
    `/api/v1/namespaces/${shape.privileged ? 'open' : 'restricted'}/pods`,
    injected,
  )) as Pod;
  assert.deepEqual(stored.spec?.initContainers?.[0]?.args, injected.spec?.initContainers?.[0]?.args);
  const input = { ...inputOf(shape), pod: stored };
  assert.equal(coverageOf(input).reason, 'AlreadyInjected');
  const record = JSON.parse(stored.metadata.annotations?.['portcullis.dev/injected'] ?? '');
  assert.deepEqual(injectionChanges(input, record, bundleKeyFingerprint(KEY)), []);
}

async function refusesBare(server: ApiServer): Promise<void> {
  const injected = inject({ name: 'bare', spec: { containers: [BARE] } });
  const { status, body } = await server.request('POST', '/api/v1/namespaces/restricted/pods', injected);
  assert.equal(status, 403);
  const { message } = body as { message: string };
  assert.match(message, /container "app" must set/);
  assert.doesNotMatch(message, /"portcullis"/);
}

async function warnsOfNone(t: TestContext, server: ApiServer): Promise<void> {
  const kubectl = kubectlFor(t, server);
  if (!kubectl) return;
  const create = async (pod: Pod): Promise<string> => {
    const document = JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      ...pod,
      metadata: { ...pod.metadata, name: 'again' },
    });
    const { code, stderr } = await kubectl(['create', '--dry-run=server', '-n', 'open', '-f', '-'], document);
    assert.equal(code, 0, stderr);
    return stderr;
  };
  for (const shape of shapes.filter(({ name }) => name !== 'host-port'))
    assert.equal(await create(inject(shape)), '', shape.name);

  const injected = inject(shapes[0]!);
  const left = { ...injected, spec: { ...injected.spec!, containers: [HARDENED] } };
  assert.match(await create(left), /duplicate port name "http"/);
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { OperatorConfig } from '../../operator/config.ts';
import { injectPod } from '../../operator/injection/inject-pod.ts';
import type { KubeObject, Namespace, Node, Pod, Service } from '../../operator/kube/objects.ts';
import type { CustomResource } from '../../operator/resources.ts';
import { coverageOf } from '../../operator/workloads/coverage.ts';
import { ANNOTATIONS, SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import type { OperatorBenchOptions } from './options.ts';

/** A cluster's objects, as they are before the operator comes. */
export interface ClusterObjects {
  readonly node: Node;
  readonly namespaces: readonly Namespace[];
  readonly keySets: readonly CustomResource[];
  readonly policies: readonly CustomResource[];
  readonly services: readonly Service[];
  /** Injected, with the status that they are to be given. */
  readonly pods: readonly Pod[];
  /** The policy of a tenth of the Services; every other Service has its own, and what is left has no pods. */
  readonly wide: CustomResource;
}

const NAMESPACES = 50;
const POLICIES_A_KEY_SET = 50;
/** Nothing may listen there: pods are dialled to see whether their app can be reached past the sidecar. */
const APP_PORT = 28_182;
const KEYS = 'keys';

/** Makes them all. `bundleKey`: the operator's public key, SPKI DER in base64. */
export function clusterObjects(
  { policies, services, pods }: Pick<OperatorBenchOptions, 'policies' | 'services' | 'pods'>,
  config: OperatorConfig,
  bundleKey: string,
): ClusterObjects {
  const names = Array.from({ length: Math.min(NAMESPACES, policies) }, (_, index) => `tenant-${index}`);
  const homeOf = (policy: number): string =>
    policy === 0 ? names[0]! : names[Math.min(names.length - 1, 1 + (policy % (names.length - 1 || 1)))]!;
  const wideServices = Math.ceil(services / 10);
  const keySets = Array.from({ length: Math.ceil(policies / POLICIES_A_KEY_SET) }, (_, index) => keySet(index));
  const made = Array.from({ length: policies }, (_, index) => accessPolicy(index, homeOf(index), keySets.length));
  const asked = Array.from({ length: services }, (_, index) => {
    const policy = index < wideServices ? 0 : Math.min(policies - 1, 1 + index - wideServices);
    return service(index, homeOf(policy), `policy-${policy}`);
  });
  const namespaces = [config.namespace, KEYS, ...names].map((name) => ({ metadata: { name } }));
  const inject = injector(namespaces, asked, config, bundleKey);
  return {
    node: { metadata: { name: 'node-0' }, status: { conditions: [{ type: 'Ready', status: 'True' }] } },
    namespaces,
    keySets,
    policies: made,
    services: asked,
    pods: Array.from({ length: pods }, (_, index) => inject(pod(index, asked[index % services]!))),
    wide: made[0]!,
  };
}

/** As the webhook does it. */
function injector(
  namespaces: readonly Namespace[],
  services: readonly Service[],
  { sidecar, defaults }: OperatorConfig,
  bundleKey: string,
): (pod: Pod) => Pod {
  const home = (name: string) => namespaces.find(({ metadata }) => metadata.name === name)!;
  return (pod) => {
    const { namespace = '' } = pod.metadata;
    const coverage = coverageOf({
      pod,
      namespace: home(namespace),
      services: services.filter(({ metadata }) => metadata.namespace === namespace),
      defaultCapture: defaults.capture,
      hasSecretKey: () => null,
    });
    return injectPod(pod, coverage, { namespace, sidecar, bundleKey, serials: { access: 0, limits: 0, issuer: 0 } });
  };
}

function example<T extends KubeObject>(file: string): T {
  return parse(readFileSync(join(import.meta.dirname, '../../examples/policies', file), 'utf8'));
}

function keySet(index: number): CustomResource {
  const { apiVersion, kind, spec } = example<CustomResource & { spec: object }>('keys.yaml');
  return {
    ...{ apiVersion: apiVersion!, kind: kind! },
    metadata: { namespace: KEYS, name: `issuer-${index}` },
    spec: { ...spec, issuer: `https://issuer-${index}.example`, usableFrom: { namespaceSelector: {} } },
  };
}

/** The example of the README: 10 rules, 3 roles, one issuer. */
function accessPolicy(index: number, namespace: string, keySets: number): CustomResource {
  const { apiVersion, kind, spec } = example<CustomResource & { spec: { authentication: { jwt: object[] } } }>(
    'access.yaml',
  );
  const keySetRef = { namespace: KEYS, name: `issuer-${index % keySets}` };
  return {
    ...{ apiVersion: apiVersion!, kind: kind! },
    metadata: { namespace, name: `policy-${index}` },
    spec: { ...spec, authentication: { jwt: spec.authentication.jwt.map((jwt) => ({ ...jwt, keySetRef })) } },
  };
}

function service(index: number, namespace: string, policy: string): Service {
  const name = `service-${index}`;
  return {
    metadata: { namespace, name, annotations: { [ANNOTATIONS.accessPolicy]: policy } },
    spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  };
}

/** A pod as the Deployment of a Service would make it, running, at an address of its own in 127.0.0.0/8. */
function pod(index: number, { metadata, spec }: Service): Pod {
  const owner = `${metadata.name}-7c9d8b6f54`;
  const env = [
    { name: 'DATABASE_URL', valueFrom: { secretKeyRef: { name: 'database', key: 'url' } } },
    { name: 'LOG_LEVEL', value: 'info' },
  ];
  const probe = { httpGet: { path: '/healthz', port: 'http' }, periodSeconds: 10 };
  const running = { running: { startedAt: '2030-01-01T00:00:00Z' } };
  return {
    metadata: {
      name: `${owner}-${index}`,
      namespace: metadata.namespace!,
      labels: { ...spec?.selector, 'pod-template-hash': '7c9d8b6f54' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: `uid-of-${owner}`, controller: true },
      ],
    },
    spec: {
      nodeName: 'node-0',
      containers: [
        {
          name: 'app',
          image: 'registry.example/app:1',
          ports: [{ name: 'http', containerPort: APP_PORT }],
          env,
          resources: { requests: { cpu: '100m', memory: '256Mi' } },
          readinessProbe: probe,
          livenessProbe: probe,
        },
      ],
    },
    status: {
      phase: 'Running',
      podIP: `127.1.${index >> 8}.${index & 255}`,
      conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({ type, status: 'True' })),
      initContainerStatuses: [{ ...started(SIDECAR_CONTAINER), state: running }],
      containerStatuses: [{ ...started('app'), state: running }],
    },
  };
}

function started(name: string) {
  const container = { name, ready: true, started: true, restartCount: 0 };
  return { ...container, image: 'registry.example/image:1', imageID: 'sha256:0' };
}

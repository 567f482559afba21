import type { SidecarTemplate } from '../../config.ts';
import type { Container, Namespace, Pod, Service, ServicePort } from '../../kube/objects.ts';
import type { CoverageInput } from '../coverage.ts';

type Notes = Readonly<Record<string, string>>;

/** Annotations by their short names: `{'access-policy': 'orders'}`. */
export function annotated(notes: Notes = {}): Notes {
  return Object.fromEntries(Object.entries(notes).map(([name, value]) => [`portcullis.dev/${name}`, value]));
}

/** The trading API's container: port 8000, named http. */
export const APP: Container = { name: 'app', image: 'trading:1', ports: [{ name: 'http', containerPort: 8000 }] };

/** A pod of the trading API. */
export function examplePod(notes: Notes = {}, spec: Partial<NonNullable<Pod['spec']>> = {}): Pod {
  return {
    metadata: { name: 'trading-0', labels: { app: 'trading' }, annotations: annotated(notes) },
    spec: { containers: [APP], ...spec },
  };
}

/** A Service that selects it; without ports, port 80 of target http. */
export function exampleService(
  name: string,
  notes: Notes = {},
  ports: readonly ServicePort[] = [{ port: 80, targetPort: 'http' }],
  spec: Partial<NonNullable<Service['spec']>> = {},
): Service {
  return {
    metadata: { name, namespace: 'shop', annotations: annotated(notes) },
    spec: { selector: { app: 'trading' }, ports, ...spec },
  };
}

/** The pod's namespace, with or without a label `portcullis.dev/policy`. */
export function exampleNamespace(notes: Notes = {}, policy?: string): Namespace {
  return {
    metadata: {
      name: 'shop',
      annotations: annotated(notes),
      ...(policy !== undefined && { labels: { 'portcullis.dev/policy': policy } }),
    },
  };
}

/** Coverage input of a pod; capture defaults to Takeover, and no Secret is missing. */
export function coverageInput(parts: Partial<CoverageInput> = {}): CoverageInput {
  return {
    pod: examplePod(),
    namespace: exampleNamespace(),
    services: [],
    defaultCapture: 'Takeover',
    hasSecretKey: () => true,
    ...parts,
  };
}

/** What the chart says of the sidecar unless told otherwise. */
export const TEMPLATE: SidecarTemplate = {
  image: 'portcullis/sidecar:1',
  imagePullPolicy: 'IfNotPresent',
  resources: { requests: { cpu: '50m', memory: '96Mi' }, limits: { memory: '256Mi' } },
  trafficPort: 14_180,
  adminPort: 14_181,
  egressPort: 14_182,
  userId: 64_180,
  appSleepSeconds: 5,
};

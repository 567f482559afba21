import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type CommandResult, runCommand } from '../cluster/program.ts';

/** The chart's folder. */
export const CHART = join(import.meta.dirname, '../../charts/portcullis');

/** Release and namespace that the chart is rendered for; all its names are `RELEASE` or start with it. */
export const RELEASE = 'portcullis';
export const NAMESPACE = 'portcullis-system';

/** Any object of the rendered chart. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: whatever the kind has
  readonly [member: string]: any;
}

/** Values that turn on everything that is optional, none of them a default. */
export const EVERYTHING = {
  operator: {
    replicas: 3,
    image: { repository: 'images/operator', digest: `sha256:${'a'.repeat(64)}`, pullPolicy: 'Always' },
    imagePullSecrets: [{ name: 'pull' }],
    resources: { requests: { cpu: 1, memory: '256Mi' }, limits: {} },
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ key: 'dedicated', operator: 'Exists' }],
    priorityClassName: 'system-cluster-critical',
    healthPort: 8081,
    jwksPort: 8091,
    podPatchesPerSecond: 20,
    evictUnprotected: false,
  },
  sidecar: {
    image: { repository: 'images/sidecar', tag: '7', pullPolicy: 'Never' },
    resources: { requests: { memory: '64Mi' }, limits: { cpu: 2 } },
    trafficPort: 15000,
    adminPort: 15001,
    egressPort: 15002,
    userId: 2_147_483_647,
    appSleepSeconds: 0,
  },
  defaults: {
    capture: 'Bind',
    storeSecret: 'redis',
    clientIP: { trustedHops: 1, trustedProxies: ['10.0.0.0/8', 'fd00::/8'] },
  },
  webhook: { port: 10_250, certificates: 'CertManager', issuerRef: { name: 'ca', kind: 'ClusterIssuer' } },
  jwks: { port: 8080, externalUrl: 'https://keys.example.com/portcullis' },
  monitoring: {
    serviceMonitor: true,
    podMonitor: true,
    prometheusRule: true,
    interval: '15s',
    labels: { prometheus: 'main' },
  },
} as const;

/** helm on the chart with these values: `template` prints the manifests, `lint` what is wrong. */
export function helmOnChart(
  helm: string,
  command: 'template' | 'lint',
  values: object,
  ...flags: string[]
): Promise<CommandResult> {
  const release = command === 'template' ? [RELEASE] : [];
  const args = [command, ...release, CHART, '--namespace', NAMESPACE, '--values', '-', ...flags];
  return runCommand(helm, args, JSON.stringify(values));
}

/** The objects of the chart with these values; throws what helm says when it refuses. */
export async function renderChart(helm: string, values: object = {}): Promise<Manifest[]> {
  const { code, stdout, stderr } = await helmOnChart(helm, 'template', values, '--kube-version', '1.33.0');
  if (code !== 0) throw new Error(stderr);
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

/** The object of that kind and name. */
export function findManifest(manifests: readonly Manifest[], kind: string, name: string = RELEASE): Manifest {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found === undefined) throw new Error(`the chart has no ${kind} ${name}`);
  return found;
}

import { ANNOTATIONS, LABELS } from '../../policy/api/names.ts';
import { type LabelSelector, selects } from '../../policy/evaluate/label-selector.ts';
import type { KubeObject, Pod, ResourceType, Service } from '../kube/objects.ts';
import { selects as serviceSelects } from './coverage-ports.ts';
import { injectedOf, isEnding } from './pod-view.ts';

/** networking.k8s.io/v1 NetworkPolicy, as much as is written and looked at. */
export interface NetworkPolicy extends KubeObject {
  readonly spec?: {
    readonly podSelector?: Partial<LabelSelector>;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly {
      readonly ports?: readonly { readonly protocol?: string; readonly port?: number; readonly endPort?: number }[];
    }[];
  };
}

/** Where NetworkPolicies are. */
export const NETWORK_POLICIES: ResourceType<NetworkPolicy> = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  namespaced: true,
};

/** Marks the NetworkPolicies that are ours. */
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'portcullis' } as const;

/** What one namespace has. */
export interface NetworkPolicyInput {
  readonly namespace: KubeObject;
  readonly services: readonly Service[];
  readonly pods: readonly Pod[];
  readonly networkPolicies: readonly NetworkPolicy[];
}

/** What is to be done for one Service: its NetworkPolicy, null: leave it while there are no pods; or why there can be none. */
export type NetworkPolicyPlan = { readonly service: Service } & (
  | { readonly policy: NetworkPolicy | null }
  | { readonly refused: string }
);

/** The name of a Service's NetworkPolicy. */
export function networkPolicyName({ metadata }: Service): string {
  return `portcullis-${metadata.name}`;
}

/**
 * The NetworkPolicies that close the app's captured ports on the pods' own addresses, one for each Service that asks: all else
 * stays as open as it was. None where a NetworkPolicy of somebody else selects the pods already: policies add up, and ours
 * would open what theirs closes. Pure.
 */
export function planNetworkPolicies(input: NetworkPolicyInput): readonly NetworkPolicyPlan[] {
  const injected = input.pods.flatMap((pod) => {
    const found = isEnding(pod) ? null : injectedOf(pod);
    return found ? [{ pod, injected: found }] : [];
  });
  const plans: NetworkPolicyPlan[] = [];
  for (const service of input.services) {
    const selected = injected.filter(({ pod }) => serviceSelects(service, pod));
    const asks = (...nearest: KubeObject[]): boolean => asksToGenerate([...nearest, service, input.namespace]);
    if (selected.length === 0 && asks()) plans.push({ service, policy: null });
    // With Bind the app's port on the pod's address is the sidecar's own.
    const listens = new Set(selected.flatMap(({ injected }) => injected.ports.map(({ listen }) => listen)));
    const closed = selected.flatMap(({ injected }) =>
      injected.capture === 'Takeover' ? injected.ports.map(({ port }) => port) : [],
    );
    const ports = [...new Set(closed)].filter((port) => !listens.has(port)).sort((a, b) => a - b);
    if (ports.length > 0 && selected.some(({ pod }) => asks(pod)))
      plans.push(
        planFor(
          service,
          ports,
          selected.map(({ pod }) => pod),
          input,
        ),
      );
  }
  return plans;
}

/** Whether the nearest object that says something says Generate. */
function asksToGenerate(nearest: readonly KubeObject[]): boolean {
  const said = nearest.map(({ metadata }) => metadata.annotations?.[ANNOTATIONS.networkPolicy]);
  return said.find((value) => value !== undefined) === 'Generate';
}

function planFor(
  service: Service,
  closed: readonly number[],
  pods: readonly Pod[],
  { networkPolicies }: NetworkPolicyInput,
): NetworkPolicyPlan {
  const { name, namespace, uid } = service.metadata;
  const policyName = networkPolicyName(service);
  const others = networkPolicies.filter((policy) => !isOurs(policy));
  const other = others.find((policy) => pods.some((pod) => selectsIngress(policy, pod)));
  const refused = (why: string) => ({ service, refused: why });
  if (other) {
    return refused(
      `NetworkPolicy ${other.metadata.name} selects the same pods, and policies add up: one of ours would open what it closes. ` +
        `Let it leave out port ${closed.join(', ')} and allow the sidecar's, or remove ${ANNOTATIONS.networkPolicy}`,
    );
  }
  if (others.some(({ metadata }) => metadata.name === policyName)) {
    return refused(`there is a NetworkPolicy ${policyName} that is not ours: rename it`);
  }
  const metadata = {
    name: policyName,
    ...(namespace !== undefined && { namespace }),
    labels: { ...MANAGED_BY, [LABELS.ownerName]: name },
    ...(uid !== undefined && { ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name, uid }] }),
  };
  const ports = [...openRanges(closed), { protocol: 'UDP' }, { protocol: 'SCTP' }];
  const podSelector = { matchLabels: { ...service.spec?.selector, [LABELS.injected]: 'true' } };
  const { apiVersion, kind } = NETWORK_POLICIES;
  const spec = { podSelector, policyTypes: ['Ingress'], ingress: [{ ports }] };
  return { service, policy: { apiVersion, kind, metadata, spec: spec as NonNullable<NetworkPolicy['spec']> } };
}

/** The TCP ports outside `closed`, which is sorted, as ranges. */
function openRanges(closed: readonly number[]): { protocol: string; port: number; endPort: number }[] {
  const ranges = [];
  let from = 1;
  for (const port of [...closed, 65_536]) {
    if (port > from) ranges.push({ protocol: 'TCP', port: from, endPort: port - 1 });
    from = port + 1;
  }
  return ranges;
}

/** Whether a NetworkPolicy or Certificate was written by us. */
export function isOurs({ metadata }: KubeObject): boolean {
  return Object.entries(MANAGED_BY).every(([label, value]) => metadata.labels?.[label] === value);
}

function selectsIngress({ spec }: NetworkPolicy, pod: Pod): boolean {
  const { matchLabels = {}, matchExpressions = [] } = spec?.podSelector ?? {};
  const expressions = matchExpressions.map((expression) => ({ ...expression, values: expression.values ?? [] }));
  const isIngress = spec?.policyTypes?.includes('Ingress') ?? true;
  return isIngress && selects({ matchLabels, matchExpressions: expressions }, pod.metadata.labels ?? {});
}

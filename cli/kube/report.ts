import type { Namespace, Pod, PodCondition, Service } from '../../operator/kube/objects.ts';
import type { CustomResource } from '../../operator/resources.ts';
import { coverageOf } from '../../operator/workloads/coverage.ts';
import { selects } from '../../operator/workloads/coverage-ports.ts';
import { injectedOf, isEnding, sidecarStatusOf } from '../../operator/workloads/pod-view.ts';
import { ANNOTATIONS, POD_CONDITIONS } from '../../policy/api/names.ts';

/** What the report is made from: one namespace. */
export interface ReportInput {
  readonly namespace: Namespace;
  readonly services: readonly Service[];
  readonly pods: readonly Pod[];
  readonly accessPolicies: readonly CustomResource[];
  readonly rateLimitPolicies: readonly CustomResource[];
}

/** How one pod stands. */
export interface PodReport {
  readonly name: string;
  readonly sidecar: 'running' | 'starting' | 'none';
  /** Conditions by the operator; `unknown` until it has looked. */
  readonly enforced: 'yes' | 'no' | 'unknown';
  readonly protected: 'yes' | 'no' | 'unknown';
  /** Why something is not as it should be, and what to do; empty: all is. */
  readonly why: readonly string[];
}

/** One policy that a Service asks for, or that its pods run. */
export interface PolicyReport {
  readonly kind: 'AccessPolicy' | 'RateLimitPolicy';
  readonly name: string;
  readonly mode: string;
  /** `Enforced`, `missing`, or the first condition that is not True with its reason. */
  readonly state: string;
  readonly message: string;
}

/** A Service that is guarded or asks to be. */
export interface ServiceReport {
  readonly service: string;
  readonly policies: readonly PolicyReport[];
  readonly pods: readonly PodReport[];
}

/** Which Services of a namespace are guarded, by which policies, and how each of their pods stands. Pure. */
export function reportOf(input: ReportInput): readonly ServiceReport[] {
  return input.services.flatMap((service) => {
    const pods = input.pods.filter((pod) => !isEnding(pod) && selects(service, pod));
    const names = policyNames(input, service, pods);
    const asks = Object.keys(service.metadata.annotations ?? {}).some((key) => key === ANNOTATIONS.accessPolicy);
    if (!asks && names.access.size === 0) return [];
    const policies = [
      ...Array.from(names.access, (name) => policyReport('AccessPolicy', name, input.accessPolicies)),
      ...Array.from(names.limits, (name) => policyReport('RateLimitPolicy', name, input.rateLimitPolicies)),
    ];
    return [{ service: service.metadata.name, policies, pods: pods.map((pod) => podReport(pod, input)) }];
  });
}

function policyNames({ namespace, services }: ReportInput, service: Service, pods: readonly Pod[]) {
  const access = new Set<string>();
  const limits = new Set<string>();
  const add = (accessPolicy: string | undefined, rateLimitPolicy: string | null | undefined): void => {
    if (accessPolicy) access.add(accessPolicy);
    if (rateLimitPolicy) limits.add(rateLimitPolicy);
  };
  const { annotations = {} } = service.metadata;
  add(annotations[ANNOTATIONS.accessPolicy], annotations[ANNOTATIONS.rateLimitPolicy]);
  for (const pod of pods) {
    const injected = injectedOf(pod);
    const asked = injected ?? coverageOf(coverageInput(pod, namespace, services)).settings;
    add(asked?.accessPolicy, asked?.rateLimitPolicy);
  }
  return { access, limits };
}

function coverageInput(pod: Pod, namespace: Namespace, services: readonly Service[]) {
  return { pod, namespace, services, defaultCapture: 'Takeover', hasSecretKey: () => null } as const;
}

function policyReport(kind: PolicyReport['kind'], name: string, policies: readonly CustomResource[]): PolicyReport {
  const policy = policies.find(({ metadata }) => metadata.name === name);
  if (policy === undefined) {
    const known = policies.map(({ metadata }) => metadata.name).join(', ') || 'none';
    return { kind, name, mode: '', state: 'missing', message: `there is no such ${kind}; there are: ${known}` };
  }
  const mode = (policy.spec as { mode?: string } | undefined)?.mode ?? 'Enforce';
  const conditions = policy.status?.conditions ?? [];
  const failing = ['Accepted', 'Ready', 'Enforced']
    .map((type) => conditions.find((condition) => condition.type === type))
    .find((condition) => condition?.status !== 'True');
  const stale = policy.status?.observedGeneration !== policy.metadata.generation;
  if (conditions.length === 0 || stale) {
    return {
      kind,
      name,
      mode,
      state: 'not yet seen',
      message: 'the operator has not looked at it yet; is it running?',
    };
  }
  if (failing === undefined) return { kind, name, mode, state: 'Enforced', message: '' };
  return { kind, name, mode, state: `${failing.type}=${failing.status} ${failing.reason}`, message: failing.message };
}

function podReport(pod: Pod, { namespace, services }: ReportInput): PodReport {
  const { name } = pod.metadata;
  if (injectedOf(pod) === null) {
    const { settings, reason, warnings } = coverageOf(coverageInput(pod, namespace, services));
    const why =
      settings === null
        ? [...(reason === null ? [] : [`left alone: ${reason}`]), ...warnings]
        : ['runs without a sidecar: it is older than the annotation; restart it: kubectl portcullis protect'];
    return { name, sidecar: 'none', enforced: 'no', protected: 'no', why };
  }
  const running = sidecarStatusOf(pod)?.state?.running !== undefined;
  const enforced = conditionOf(pod, POD_CONDITIONS.enforced);
  const isProtected = conditionOf(pod, POD_CONDITIONS.protected);
  return {
    name,
    sidecar: running ? 'running' : 'starting',
    enforced: word(enforced),
    protected: word(isProtected),
    why: [enforced, isProtected].flatMap((found) =>
      found === undefined || found.status === 'True' ? [] : [`${found.reason}: ${found.message}`],
    ),
  };
}

function conditionOf(pod: Pod, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === type);
}

function word(condition: PodCondition | undefined): 'yes' | 'no' | 'unknown' {
  if (condition === undefined || condition.status === 'Unknown') return 'unknown';
  return condition.status === 'True' ? 'yes' : 'no';
}

import { SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import type { Injected } from '../injection/injected.ts';
import { hasSidecar } from '../injection/injected.ts';
import type { Pod } from '../kube/objects.ts';
import { type Coverage, type CoverageInput, type CoverageSettings, coverageOf } from './coverage.ts';
import { type InjectionChange, injectionChanges } from './coverage-changes.ts';
import type { PolicyKey } from './enforcement.ts';

/** What is wrong with a pod that runs. */
export interface Finding {
  readonly kind: 'Unprotected' | 'RestartRequired' | 'PolicyNotFound';
  /** What is wrong, the same for all pods of an owner; without what to do where a restart helps. */
  readonly message: string;
  /** What a restart would bring; null: a restart does not help. */
  readonly restart: {
    /** Tells one wish from another. */
    readonly wanted: string;
    readonly rollout: CoverageSettings['rollout'];
    /** The policies that the pod is not under, or not as asked. */
    readonly policies: readonly PolicyKey[];
  } | null;
}

/** What a pod is judged by. */
export interface AuditInput extends CoverageInput {
  /** Null: nothing was injected. */
  readonly injected: Injected | null;
  /** Fingerprint of the key that signs bundles now. */
  readonly bundleKey: string;
  /** Names of the policies in the pod's namespace. */
  readonly policyNames: { readonly access: readonly string[]; readonly limits: readonly string[] };
}

const CHANGES: Readonly<Record<InjectionChange, string>> = {
  Removed: 'nothing asks for the sidecar any more',
  AccessPolicy: 'another AccessPolicy is asked for',
  RateLimitPolicy: 'another RateLimitPolicy is asked for',
  Candidates: 'other policies are to be tried',
  Capture: 'another capture is asked for',
  IssueTokens: 'whether it issues tokens has changed',
  TlsSecret: 'another certificate is asked for, or none',
  Ports: 'other ports are to be guarded',
  BundleKey: 'the key that signs bundles was replaced',
  Refusal: 'what it refuses all traffic for was resolved, or came up',
};

/** Compares a running pod with what would be injected now; null: nothing is wrong with it. Pure. */
export function auditPod(input: AuditInput): Finding | null {
  const { injected } = input;
  return injected === null ? auditPlain(input) : auditInjected(input, injected);
}

function auditPlain(input: AuditInput): Finding | null {
  const isForeign = hasSidecar(input.pod);
  const coverage = coverageOf(isForeign ? { ...input, pod: withoutSidecar(input.pod) } : input);
  if (coverage.deny)
    return { kind: 'Unprotected', message: coverage.warnings[0] ?? 'the pod cannot be guarded', restart: null };
  if (coverage.settings === null) return null;
  const { accessPolicy } = coverage.settings;
  if (isForeign) {
    const message = `runs a container named ${SIDECAR_CONTAINER} that was not injected, though AccessPolicy ${accessPolicy} is asked for; remove it from the pod template`;
    return { kind: 'Unprotected', message, restart: null };
  }
  const message = `runs without the sidecar, though AccessPolicy ${accessPolicy} is asked for: it was created before`;
  return { kind: 'Unprotected', message, restart: restartFor(input, coverage, coverage.settings) };
}

function auditInjected(input: AuditInput, injected: Injected): Finding | null {
  const changes = injectionChanges(input, injected, input.bundleKey);
  if (changes.length > 0) {
    // Ports have lost their names here; what is wanted of the pod beside them is told the same.
    const coverage = coverageOf({ ...input, pod: withoutSidecar(input.pod) });
    const restart = coverage.settings
      ? restartFor(input, coverage, coverage.settings)
      : { wanted: 'Removed', rollout: 'Report' as const, policies: [] };
    return { kind: 'RestartRequired', message: changes.map((change) => CHANGES[change]).join('; '), restart };
  }
  const { access, limits } = input.policyNames;
  const { accessPolicy, rateLimitPolicy } = injected;
  const missing = [
    ...(access.includes(accessPolicy) ? [] : [notFound('AccessPolicy', accessPolicy, access)]),
    ...(rateLimitPolicy === null || limits.includes(rateLimitPolicy)
      ? []
      : [notFound('RateLimitPolicy', rateLimitPolicy, limits)]),
  ];
  return missing.length === 0 ? null : { kind: 'PolicyNotFound', message: missing.join('; '), restart: null };
}

function restartFor(input: AuditInput, coverage: Coverage, settings: CoverageSettings): Finding['restart'] {
  const namespace = input.pod.metadata.namespace ?? '';
  const { accessPolicy, rateLimitPolicy, capture, issueTokens, rollout } = settings;
  const policies: PolicyKey[] = [{ kind: 'Access', namespace, name: accessPolicy }];
  if (rateLimitPolicy !== null) policies.push({ kind: 'Limits', namespace, name: rateLimitPolicy });
  const ports = coverage.ports.map(({ port }) => port);
  const { reason } = coverage;
  const wanted = JSON.stringify([
    accessPolicy,
    rateLimitPolicy,
    capture,
    issueTokens,
    ports,
    reason,
    input.bundleKey,
    settings.candidates,
  ]);
  return { wanted, rollout, policies };
}

/** The pod as coverage can look at it: one that has the sidecar is left alone. Its moved ports have no names. */
export function withoutSidecar(pod: Pod): Pod {
  const initContainers = (pod.spec?.initContainers ?? []).filter(({ name }) => name !== SIDECAR_CONTAINER);
  return { ...pod, spec: { ...pod.spec, containers: pod.spec?.containers ?? [], initContainers } };
}

const MOST_NAMES = 10;

function notFound(kind: string, name: string, existing: readonly string[]): string {
  const shown = existing.toSorted().slice(0, MOST_NAMES).join(', ');
  const more = existing.length > MOST_NAMES ? ` and ${existing.length - MOST_NAMES} more` : '';
  const there = existing.length === 0 ? 'there is none in the namespace' : `there are ${shown}${more}`;
  return `${kind} ${name} does not exist; ${there}`;
}

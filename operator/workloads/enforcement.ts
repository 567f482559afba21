import type { Bundle } from '../../policy/bundle/types.ts';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';
import type { Injected } from '../injection/injected.ts';

/** Which of the two kinds of bundle. */
export type BundleKind = Bundle['kind'];

/** One policy, by the kind of its bundle. */
export interface PolicyKey {
  readonly kind: BundleKind;
  readonly namespace: string;
  readonly name: string;
}

/** The bundle that a policy's pods are to run. */
export interface ExpectedBundle {
  readonly serial: number;
  /** SHA-256 of the file, hex. */
  readonly hash: string;
}

/** What the pods of a policy do about one bundle of it. */
export interface Enforcement {
  /** Counted pods that the policy was injected for. */
  readonly matched: number;
  /** Of these, pods that run exactly this bundle. */
  readonly current: number;
  readonly stale: number;
  /** Pods that do not run it yet, each with what it does instead. Sorted. */
  readonly waiting: readonly string[];
  /** Pods that refused the newest file they saw, each with the code. Sorted. */
  readonly refused: readonly string[];
  /** Pods that only a restart can bring under the policy as it is asked for now, each with why. Sorted. */
  readonly restartRequired: readonly string[];
}

/** How one pod stands to one bundle. */
export type Standing =
  | { readonly kind: 'Current' }
  | { readonly kind: 'Waiting'; readonly detail: string }
  | { readonly kind: 'Refused'; readonly code: string };

/** The resource that a kind of bundle is made of. */
export const POLICY_KINDS = { Access: 'AccessPolicy', Limits: 'RateLimitPolicy' } as const;

/** The policies that a pod was injected for. */
export function policiesOf(namespace: string, injected: Injected): readonly PolicyKey[] {
  const access: PolicyKey = { kind: 'Access', namespace, name: injected.accessPolicy };
  if (injected.rateLimitPolicy === null) return [access];
  return [access, { kind: 'Limits', namespace, name: injected.rateLimitPolicy }];
}

/** A policy as one string, for maps. */
export function policyId({ kind, namespace, name }: PolicyKey): string {
  return `${kind}:${namespace}/${name}`;
}

/** Serial and hash of a policy's bundle that a pod says it runs; null: none, or it is another policy's. */
export function runningBundle(policy: PolicyKey, status: SidecarStatus | null): ExpectedBundle | null {
  const state = bundleState(policy, status);
  return state === null || state.serial === 0 ? null : { serial: state.serial, hash: state.hash };
}

/** How a pod that last answered with `status` stands; `silent`: why it does not answer now, null: it does. */
export function standingOf(
  policy: PolicyKey,
  expected: ExpectedBundle,
  status: SidecarStatus | null,
  silent: string | null,
): Standing {
  const state = bundleState(policy, status);
  if (state?.serial === expected.serial && state.hash === expected.hash) return { kind: 'Current' };
  if (silent !== null) return { kind: 'Waiting', detail: `does not answer on its admin port (${silent})` };
  if (status === null) return { kind: 'Waiting', detail: 'was not asked yet' };
  if (state?.error) return { kind: 'Refused', code: state.error.code };
  if (state === null || state.serial === 0) return { kind: 'Waiting', detail: 'has loaded none yet' };
  const same = state.serial === expected.serial ? ' with other content' : '';
  return { kind: 'Waiting', detail: `runs serial ${state.serial}${same}` };
}

function bundleState(policy: PolicyKey, status: SidecarStatus | null) {
  const state = policy.kind === 'Access' ? status?.bundles.access : status?.bundles.limits;
  return state && state.name === policy.name && state.namespace === policy.namespace ? state : null;
}

/** Sums up how the counted pods of a policy stand. */
export function enforcementOf(
  pods: Iterable<{ readonly name: string; readonly standing: Standing }>,
  restartRequired: readonly string[],
): Enforcement {
  const waiting: string[] = [];
  const refused: string[] = [];
  let matched = 0;
  for (const { name, standing } of pods) {
    matched++;
    if (standing.kind === 'Waiting') waiting.push(`${name}: ${standing.detail}`);
    if (standing.kind === 'Refused') refused.push(`${name}: ${standing.code}`);
  }
  const stale = waiting.length + refused.length;
  const lists = { waiting: waiting.sort(), refused: refused.sort(), restartRequired: restartRequired.toSorted() };
  return { matched, current: matched - stale, stale, ...lists };
}

/** What a sidecar says against itself may begin with a condition's reason, or be one. */
const WITH_REASON = /^([A-Z][A-Za-z0-9]{0,63})(?:: (.+))?$/;

/** Why a pod serves nothing under its policies, in its own words; null: it serves, or does not say now. */
export function whyNotReady(status: SidecarStatus | null, silent: string | null): string | null {
  // One that drains goes on enforcing.
  return status === null || silent !== null || status.draining ? null : (status.notReady[0] ?? null);
}

/** What a pod's condition Enforced says. `notReady`: as of `whyNotReady`. */
export function podEnforcement(
  standings: readonly { readonly policy: PolicyKey; readonly standing: Standing }[],
  notReady: string | null,
  finding: { readonly kind: string; readonly message: string } | undefined,
): { readonly status: 'True' | 'False'; readonly reason: string; readonly message: string } {
  if (finding) return { status: 'False', reason: finding.kind, message: finding.message };
  if (notReady !== null) {
    const [, reason, message = 'the sidecar refuses all traffic'] = WITH_REASON.exec(notReady) ?? [];
    if (reason !== undefined) return { status: 'False', reason, message };
    const isRefused = standings.some(({ standing }) => standing.kind === 'Refused');
    return { status: 'False', reason: isRefused ? 'Refused' : 'Progressing', message: notReady };
  }
  const title = ({ kind, name }: PolicyKey): string => `${POLICY_KINDS[kind]} ${name}`;
  for (const { policy, standing } of standings) {
    if (standing.kind === 'Refused') {
      const message = `the sidecar refused the newest bundle of ${title(policy)}: ${standing.code}; its log says why`;
      return { status: 'False', reason: 'Refused', message };
    }
    if (standing.kind === 'Waiting') {
      return { status: 'False', reason: 'Progressing', message: `${title(policy)}: the sidecar ${standing.detail}` };
    }
  }
  const names = standings.map(({ policy }) => title(policy)).join(' and ');
  return { status: 'True', reason: 'Acknowledged', message: `the sidecar runs what is asked of ${names} now` };
}

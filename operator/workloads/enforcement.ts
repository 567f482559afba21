import type { Bundle } from '../../policy/bundle/types.ts';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';
import type { Injected } from '../injection/injected.ts';
import type { Pod } from '../kube/objects.ts';

/** Which kind of bundle. */
export type BundleKind = Bundle['kind'];

/** The kind that every policy has a bundle of, and that the policy goes by. */
export type PolicyBundleKind = Exclude<BundleKind, 'Issuer'>;

/** One bundle of a policy. An AccessPolicy may have two, of kinds Access and Issuer. */
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
  /** Of these, pods that only try it; absent: none does. */
  readonly candidates?: number;
  /** Of these, pods that run exactly this bundle. */
  readonly current: number;
  readonly stale: number;
  /** Pods that verify tokens by old keys of an issuer outside, or by none, each with the URI. Sorted; absent: there are none. */
  readonly staleJwks?: readonly string[];
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
export const POLICY_KINDS = { Access: 'AccessPolicy', Limits: 'RateLimitPolicy', Issuer: 'AccessPolicy' } as const;

/** The bundles that a pod was injected for. */
export function policiesOf(namespace: string, injected: Injected): readonly PolicyKey[] {
  const { accessPolicy, rateLimitPolicy, issueTokens, candidates } = injected;
  return [
    { kind: 'Access', namespace, name: accessPolicy },
    ...(rateLimitPolicy === null ? [] : [{ kind: 'Limits', namespace, name: rateLimitPolicy } as const]),
    ...(issueTokens ? [{ kind: 'Issuer', namespace, name: accessPolicy } as const] : []),
    ...(candidates?.accessPolicy ? [{ kind: 'Access', namespace, name: candidates.accessPolicy } as const] : []),
    ...(candidates?.rateLimitPolicy ? [{ kind: 'Limits', namespace, name: candidates.rateLimitPolicy } as const] : []),
  ];
}

/** Whether a pod only tries a policy that it was injected for. */
export function isOnlyTried({ kind, name }: PolicyKey, { accessPolicy, rateLimitPolicy }: Injected): boolean {
  return kind === 'Limits' ? name !== rateLimitPolicy : name !== accessPolicy;
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
  const states = STATUS_MEMBERS[policy.kind].map((member) => status?.bundles[member]);
  return states.find((state) => state?.name === policy.name && state.namespace === policy.namespace) ?? null;
}

const STATUS_MEMBERS = {
  Access: ['access', 'candidateAccess'],
  Limits: ['limits', 'candidateLimits'],
  Issuer: ['issuer'],
} as const;

/** How a pod stands to the bundle of an AccessPolicy and, where it issues tokens, to what it signs by. */
export function standingToBoth(access: Standing, issuer: Standing | null): Standing {
  if (access.kind !== 'Current' || issuer === null) return access;
  return issuer.kind === 'Waiting' ? { kind: 'Waiting', detail: `${issuer.detail} (issuer bundle)` } : issuer;
}

/** What pods that enforce an AccessPolicy say of the keys of issuers outside. */
export function staleJwksOf(
  policy: PolicyKey,
  pods: readonly { readonly pod: Pod; readonly injected: Injected; readonly status: SidecarStatus | null }[],
): Pick<Enforcement, 'staleJwks'> {
  if (policy.kind !== 'Access') return {};
  const staleJwks = pods
    .filter(({ injected }) => !isOnlyTried(policy, injected))
    .flatMap(({ pod, status }) =>
      Object.entries(status?.staleJwks ?? {}).map(
        // Without its age: a condition that changes each minute says nothing.
        ([uri, age]) => `${pod.metadata.name}: ${uri}${age === null ? ' (never fetched)' : ''}`,
      ),
    );
  return staleJwks.length === 0 ? {} : { staleJwks: staleJwks.sort() };
}

/** Whether of each policy a bundle is expected, so that a pod can be judged. Most have none that tokens are signed by. */
export function isJudged(
  policies: readonly PolicyKey[],
  standings: readonly { readonly policy: PolicyKey }[],
): boolean {
  return policies.every((policy) => policy.kind === 'Issuer' || standings.some((known) => known.policy === policy));
}

/** Sums up how the counted pods of a policy stand. */
export function enforcementOf(
  pods: Iterable<{ readonly name: string; readonly standing: Standing; readonly isCandidate?: boolean }>,
  restartRequired: readonly string[],
): Enforcement {
  const waiting: string[] = [];
  const refused: string[] = [];
  let matched = 0;
  let candidates = 0;
  for (const { name, standing, isCandidate } of pods) {
    matched++;
    if (isCandidate) candidates++;
    if (standing.kind === 'Waiting') waiting.push(`${name}: ${standing.detail}`);
    if (standing.kind === 'Refused') refused.push(`${name}: ${standing.code}`);
  }
  const stale = waiting.length + refused.length;
  const lists = { waiting: waiting.sort(), refused: refused.sort(), restartRequired: restartRequired.toSorted() };
  return { matched, ...(candidates > 0 && { candidates }), current: matched - stale, stale, ...lists };
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
  const title = ({ kind, name }: PolicyKey): string =>
    `${kind === 'Issuer' ? 'issuer bundle of ' : ''}${POLICY_KINDS[kind]} ${name}`;
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

import type { BundleState } from '../runtime/sidecar-status.ts';

/** The bundles that may keep a sidecar from being ready; null: not waited for. */
export interface AwaitedBundles {
  readonly access: BundleState;
  readonly limits: BundleState | null;
  /** What tokens are signed by, while it is missing. */
  readonly issuer: BundleState | null;
}

/** Why a sidecar is not ready, one sentence a bundle, each with what to look at; empty: every bundle is there. */
export function notReadyReasons({ access, limits, issuer }: AwaitedBundles): string[] {
  const reasons: string[] = [];
  for (const [kind, state] of [
    ['AccessPolicy', access],
    ['RateLimitPolicy', limits],
  ] as const) {
    if (state === null || state.serial > 0) continue;
    const { namespace, name } = state;
    const see = `see kubectl describe ${kind.toLowerCase()} ${name} -n ${namespace}`;
    reasons.push(
      reasonOf(state, `PolicyNotFound: ${kind} ${namespace}/${name} has no bundle yet; apply it, or ${see}`),
    );
  }
  if (issuer !== null) {
    const { namespace, name } = issuer;
    const what = `what tokens of AccessPolicy ${namespace}/${name} are signed by is not here yet`;
    reasons.push(
      reasonOf(issuer, `IssuerNotFound: ${what}; see kubectl describe accesspolicy ${name} -n ${namespace}`),
    );
  }
  return reasons;
}

function reasonOf({ error }: BundleState, otherwise: string): string {
  return error === null ? otherwise : `${error.code}: ${error.message}`;
}

import type { Exchange } from '../pipeline/exchange.ts';
import type { Denial, Layer } from '../pipeline/filter.ts';

/** What one policy makes of one request. */
export interface Verdict {
  /** `allow`, `answer` (to a CORS preflight), a code of docs/errors.md, or `body_not_read`: allowed as far as that can be told. */
  readonly decision: string;
  /** The rule of an access policy, or the limit that refused; `none`. */
  readonly rule: string;
  /** For the log. */
  readonly reason: string;
}

/** No rule, no limit. */
export const NONE = 'none';

const OF_ACCESS: ReadonlySet<Layer> = new Set<Layer>(['authenticate', 'csrf', 'authorize', 'validate']);
/** Said of the moment and not by a policy. */
const OF_THE_MOMENT: ReadonlySet<string> = new Set(['overloaded', 'store_unavailable', 'internal_error']);
/** Layers that may answer or refuse before a subject's limits are asked, and leave the access policy to decide. */
const BEFORE_SUBJECTS: ReadonlySet<string> = new Set(['limit-by-address', 'cors', 'jwks', 'authenticate', 'csrf']);
const AFTER_SUBJECTS: ReadonlySet<string> = new Set([
  '', // it was forwarded
  ...['limit-by-subject', 'throttle', 'authorize', 'validate-body', 'token-endpoint', 'websocket-sessions', 'breaker'],
]);

/** What the live access policy decided, in Shadow what it would have; null: something else decided first. */
export function liveAccessVerdict({ decision, decidedBy, rule, shadowDenials }: Exchange): Verdict | null {
  const said = (denial: Denial): Verdict | null =>
    OF_THE_MOMENT.has(denial.code) ? null : { decision: denial.code, rule: rule?.name ?? NONE, reason: denial.reason };
  const inShadow = shadowDenials?.find(({ layer }) => OF_ACCESS.has(layer));
  if (inShadow !== undefined) return said(inShadow);
  if (decision === null) return null;
  if (decision === undefined) return { decision: 'allow', rule: rule?.name ?? NONE, reason: '' };
  if (decision.kind === 'deny') return OF_ACCESS.has(decision.layer) ? said(decision) : null;
  return decidedBy === 'cors' ? { decision: 'answer', rule: rule?.name ?? NONE, reason: '' } : null;
}

/**
 * What the live limits decided, in Shadow what they would have; null: something that is no limit decided first. `limits`: names of
 * those that there are.
 */
export function liveLimitsVerdict(
  { decision, decidedBy, shadowDenials }: Exchange,
  limits: ReadonlySet<string>,
): Verdict | null {
  const said = ({ code, reason }: Denial): Verdict | null =>
    OF_THE_MOMENT.has(code) ? null : { decision: code, rule: reason, reason };
  // Throttles refuse in the same words, under names of their own.
  const isLimit = ({ layer, reason }: Denial): boolean => layer === 'limit' && limits.has(reason);
  if (decision === null || !(BEFORE_SUBJECTS.has(decidedBy) || AFTER_SUBJECTS.has(decidedBy))) return null;
  const inShadow = shadowDenials?.find(isLimit);
  if (inShadow !== undefined) return said(inShadow);
  if (decision?.kind === 'deny' && isLimit(decision)) return said(decision);
  return { decision: 'allow', rule: NONE, reason: '' };
}

/** Whether the live policies got as far as the limits by subject, which charge a refused token as an anonymous request. */
export function reachedSubjects({ decidedBy }: Exchange): boolean {
  return AFTER_SUBJECTS.has(decidedBy) || decidedBy === 'authenticate';
}

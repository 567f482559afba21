import type { LimitPlan } from '../limit-plan.ts';

/** One limit that a request was counted under. */
export interface HeaderDemand {
  readonly plan: Omit<LimitPlan, 'onStoreFailure'>;
}

/** What the counter of that limit said. */
export interface HeaderQuota {
  readonly remaining: number;
  readonly resetMs: number;
  readonly retryAfterMs: number;
}

/** Values of the header fields that tell a client about its limits. */
export interface RateLimitHeaders {
  /** RateLimit-Policy: every limit that the request was counted under, in the order of the demands. */
  readonly policy: string;
  /** RateLimit: the strictest of them. */
  readonly rateLimit: string;
  /** Retry-After in whole seconds (RFC 9110 §10.2.3); null when every counter admitted. */
  readonly retryAfter: string | null;
}

/**
 * Header values for the demands of a request, at least one, and their quotas in the same order
 * (draft-ietf-httpapi-ratelimit-headers-10 §3 and §4). Seconds are rounded up: a client that waits as told is not too early. A bucket is
 * shown as its size in the time that fills it. The unit is the request (§3.1.1, the default): what costs more is shown as the requests it
 * leaves. Names must be printable ASCII.
 */
export function rateLimitHeaders(demands: readonly HeaderDemand[], quotas: readonly HeaderQuota[]): RateLimitHeaders {
  let policy = '';
  for (let i = 0; i < demands.length; i++) policy += `${i === 0 ? '' : ', '}${policyItem(demands[i]!.plan)}`;
  const strictest = strictestOf(quotas);
  const { remaining, resetMs, retryAfterMs } = quotas[strictest]!;
  return {
    policy,
    rateLimit: `${quoted(demands[strictest]!.plan.name)};r=${remaining};t=${seconds(resetMs)}`,
    retryAfter: retryAfterMs === 0 ? null : String(seconds(retryAfterMs)),
  };
}

/** Index of the quota that answers for all, of at least one. */
export function strictestOf(quotas: readonly HeaderQuota[]): number {
  let strictest = 0;
  for (let i = 1; i < quotas.length; i++) if (isStricter(quotas[i]!, quotas[strictest]!)) strictest = i;
  return strictest;
}

/** The one to wait for longest; when none is exhausted, the one with the fewest requests left. */
function isStricter(quota: HeaderQuota, than: HeaderQuota): boolean {
  if (quota.retryAfterMs !== than.retryAfterMs) return quota.retryAfterMs > than.retryAfterMs;
  return quota.remaining < than.remaining;
}

function policyItem({ name, algorithm, limit, windowMs, burst, cost = 1 }: HeaderDemand['plan']): string {
  return algorithm === 'TokenBucket'
    ? `${quoted(name)};q=${Math.floor(burst / cost)};w=${seconds((burst * windowMs) / limit)}`
    : `${quoted(name)};q=${Math.floor(limit / cost)};w=${seconds(windowMs)}`;
}

/** A String of RFC 9651 §3.3.3. */
function quoted(text: string): string {
  return text.includes('"') || text.includes('\\') ? `"${text.replace(/["\\]/g, '\\$&')}"` : `"${text}"`;
}

function seconds(milliseconds: number): number {
  return Math.ceil(milliseconds / 1000);
}

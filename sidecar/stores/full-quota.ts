import type { LimitPlan, Quota } from './limiter-store.ts';

/** What a counter that has counted nothing would say. */
export function fullQuota(plan: LimitPlan): Quota {
  return { remaining: capacityOf(plan), resetMs: 0, retryAfterMs: 0 };
}

/** Requests that a counter admits at once when nothing is counted. */
function capacityOf(plan: LimitPlan): number {
  return Math.floor((plan.algorithm === 'TokenBucket' ? plan.burst : plan.limit) / (plan.cost ?? 1));
}

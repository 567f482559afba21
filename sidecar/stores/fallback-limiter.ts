import { fullQuota } from './full-quota.ts';
import type { Admission, Demand, LimitPlan, Quota } from './limiter-store.ts';
import { MemoryStore } from './memory-store.ts';

/** What a client denied by `onStoreFailure: Deny` is told to wait; the store is looked for at least this often. */
const DENY_RETRY_AFTER_MS = 1000;

interface Share {
  readonly replicas: number;
  readonly plan: LimitPlan;
}

/**
 * Decides by `onStoreFailure` while the shared store does not answer. LocalShare counts in memory with limit and burst divided by
 * the replicas, rounded down but at least one request's cost: the sum over all replicas exceeds the limit only when there are more replicas than
 * it admits requests.
 */
export class FallbackLimiter {
  readonly #local = new MemoryStore();
  readonly #shares = new WeakMap<LimitPlan, Share>();

  /** `replicas`: processes last seen sharing the store. */
  consume(demands: readonly Demand[], now: number, replicas: number): Admission {
    const denied = demands.some((demand) => demand.plan.onStoreFailure === 'Deny');
    const shares: Demand[] = [];
    if (!denied) {
      for (const { plan, key } of demands) {
        if (plan.onStoreFailure === 'LocalShare') shares.push({ plan: this.#shareOf(plan, replicas), key });
      }
    }
    const local = this.#local.consume(shares, now);
    let share = 0;
    const quotas = demands.map(({ plan }): Quota => {
      if (plan.onStoreFailure === 'Deny') {
        return { remaining: 0, resetMs: DENY_RETRY_AFTER_MS, retryAfterMs: DENY_RETRY_AFTER_MS };
      }
      return plan.onStoreFailure === 'Allow' || denied ? fullQuota(plan) : local.quotas[share++]!;
    });
    return { admitted: local.admitted && !denied, quotas, degraded: true };
  }

  #shareOf(plan: LimitPlan, replicas: number): LimitPlan {
    const known = this.#shares.get(plan);
    if (known?.replicas === replicas) return known.plan;
    const { cost = 1 } = plan;
    // A refill smaller than the cost is no lock-out, a bucket or a window is.
    const limit = Math.max(plan.algorithm === 'TokenBucket' ? 1 : cost, Math.floor(plan.limit / replicas));
    const burst = plan.burst === 0 ? 0 : Math.max(cost, Math.floor(plan.burst / replicas));
    const share = { replicas, plan: { ...plan, limit, burst } };
    this.#shares.set(plan, share);
    return share.plan;
  }
}

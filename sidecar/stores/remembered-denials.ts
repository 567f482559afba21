import { fullQuota } from './full-quota.ts';
import type { Admission, Demand, LimitPlan, Quota } from './limiter-store.ts';

const MAX_DENIALS = 10_000;

interface Denial {
  readonly plan: LimitPlan;
  readonly quota: Quota;
  /** By the clock of this process. */
  readonly at: number;
}

/**
 * Denials that hold without asking again: nothing that other processes do can free a counter before its `retryAfterMs`. At
 * most 10,000; beyond that the oldest is forgotten, which costs a call and nothing else.
 */
export class RememberedDenials {
  readonly #denials = new Map<string, Denial>();

  /** Notes the counters that denied at `now`. */
  remember(demands: readonly Demand[], quotas: readonly Quota[], now: number): void {
    for (let i = 0; i < demands.length; i++) {
      const quota = quotas[i]!;
      if (quota.retryAfterMs === 0) continue;
      const { key, plan } = demands[i]!;
      this.#denials.delete(key);
      this.#denials.set(key, { plan, quota, at: now });
      if (this.#denials.size > MAX_DENIALS) this.#denials.delete(this.#denials.keys().next().value!);
    }
  }

  /** The denial that still holds for any of the demands, or undefined. Counters that were not asked are shown as full. */
  recall(demands: readonly Demand[], now: number): Admission | undefined {
    if (this.#denials.size === 0) return undefined;
    for (let i = 0; i < demands.length; i++) {
      const denial = this.#recallOne(demands[i]!, now);
      if (denial === undefined) continue;
      const elapsed = now - denial.at;
      const quotas = demands.map((demand, j) => {
        if (j !== i) return fullQuota(demand.plan);
        const { remaining, resetMs, retryAfterMs } = denial.quota;
        return { remaining, resetMs: Math.max(0, resetMs - elapsed), retryAfterMs: retryAfterMs - elapsed };
      });
      return { admitted: false, quotas, degraded: false };
    }
    return undefined;
  }

  #recallOne({ key, plan }: Demand, now: number): Denial | undefined {
    const denial = this.#denials.get(key);
    if (denial === undefined) return undefined;
    // A limit changed by a new bundle and a clock that stepped back are reasons to ask again.
    const holds = denial.plan === plan && now >= denial.at && now < denial.at + denial.quota.retryAfterMs;
    if (holds) return denial;
    this.#denials.delete(key);
    return undefined;
  }
}

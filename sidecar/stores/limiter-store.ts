import type { LimitPlan } from '../../policy/evaluate/limit-plan.ts';

export type { LimitPlan };

/** A request's claim on one counter. */
export interface Demand {
  readonly plan: LimitPlan;
  /** Counter identity: unique per policy, limit, tier and subject. */
  readonly key: string;
}

/** What one counter says after a decision. */
export interface Quota {
  /** Requests still admitted now. */
  readonly remaining: number;
  /** Milliseconds until more than `remaining` would be admitted; 0 when nothing is counted. */
  readonly resetMs: number;
  /** 0 when this counter admits; else milliseconds until it would admit one. */
  readonly retryAfterMs: number;
}

/** The answer for all demands of one request: every counter admitted and was charged, or none was charged. */
export interface Admission {
  readonly admitted: boolean;
  /** In the order of the demands. */
  readonly quotas: readonly Quota[];
  /** True when the answer came from `onStoreFailure`, not from the store itself. */
  readonly degraded: boolean;
}

/** Counts requests. Answers at once where it can; a promise only where it must wait for a network. Never rejects. */
export interface LimiterStore {
  /** `now`: epoch milliseconds by this process's clock (a shared store uses its own). */
  consume(demands: readonly Demand[], now: number): Admission | Promise<Admission>;
  /** False while the shared store does not answer. A store in memory is always available. */
  readonly available: boolean;
  /** Processes last seen sharing this store, this one included. At least 1. */
  readonly replicas: number;
  close(): Promise<void>;
}

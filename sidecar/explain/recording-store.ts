import { fullQuota } from '../stores/full-quota.ts';
import type { Admission, Demand, LimiterStore } from '../stores/limiter-store.ts';

/** Admits everything, counts nothing, and remembers what would have been counted. */
export class RecordingStore implements LimiterStore {
  readonly available = true;
  readonly replicas = 1;
  #demands: Demand[] = [];

  consume(demands: readonly Demand[]): Admission {
    this.#demands.push(...demands);
    return { admitted: true, quotas: demands.map(({ plan }) => fullQuota(plan)), degraded: false };
  }

  /** What was asked for since the last call. */
  take(): Demand[] {
    const demands = this.#demands;
    this.#demands = [];
    return demands;
  }

  async close(): Promise<void> {}
}

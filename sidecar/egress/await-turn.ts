import type { Demand, LimiterStore } from '../stores/limiter-store.ts';

/** What waiting for one's turn needs. */
export interface TurnOptions {
  readonly limiter: LimiterStore;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Milliseconds. Resolves to false when nobody waits any more. */
  readonly sleep: (ms: number) => Promise<boolean>;
  /** Called once when there is no room at first. */
  readonly onThrottled: () => void;
}

/**
 * Counts one try, waiting up to `waitMs` for room. Resolves to 0 when it was counted, or to the milliseconds after which there will be
 * room; then nothing was.
 */
export async function awaitTurn(demand: Demand, waitMs: number, options: TurnOptions): Promise<number> {
  const { limiter, now, sleep, onThrottled } = options;
  for (let left = waitMs; ; ) {
    const { admitted, quotas } = await limiter.consume([demand], now());
    if (admitted) return 0;
    if (left === waitMs) onThrottled();
    const retryAfterMs = Math.max(1, quotas[0]?.retryAfterMs ?? 0);
    if (retryAfterMs > left) return retryAfterMs;
    left -= retryAfterMs;
    if (!(await sleep(retryAfterMs))) return retryAfterMs;
  }
}

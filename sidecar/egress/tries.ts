import type { EgressRetry } from '../../policy/bundle/egress.ts';
import type { RetryLabel } from './egress-metrics.ts';
import { parseRetryAfter, retryDelay } from './retry-delay.ts';

/** Why and after how long a request is tried again. */
export interface Again {
  readonly reason: RetryLabel;
  readonly delayMs: number;
}

/** Counts the tries of one request and says whether the policy wants another. */
export class Tries {
  readonly #retry: EgressRetry | null;
  readonly #random: () => number;
  /** Begun so far. */
  count = 0;

  /** `random`: from 0 to below 1. */
  constructor(retry: EgressRetry | null, random: () => number) {
    this.#retry = retry;
    this.#random = random;
  }

  /** After the last try ended for this reason; null: no more. */
  after(reason: Exclude<RetryLabel, 'stale'>, retryAfterMs: number | null = null): Again | null {
    const retry = this.#retry;
    if (retry === null || !retry.retryOn.includes(reason) || this.count >= retry.attempts) return null;
    const delayMs = retryDelay(this.count, retry, retryAfterMs, this.#random());
    return delayMs === null ? null : { reason, delayMs };
  }

  /** After an answer; null: it is the one to pass on. `now`: epoch milliseconds. */
  afterAnswer(status: number, headers: readonly string[], now: number): Again | null {
    const reason = status === 429 ? '429' : status >= 500 ? '5xx' : null;
    if (reason === null) return null;
    const at = headers.findIndex((name, index) => index % 2 === 0 && name === 'retry-after');
    return this.after(reason, parseRetryAfter(at < 0 ? undefined : headers[at + 1], now));
  }
}

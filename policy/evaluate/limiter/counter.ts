import type { LimitAlgorithm } from '../../bundle/types.ts';
import { FixedWindow } from './fixed-window.ts';
import { SlidingWindow } from './sliding-window.ts';
import { TokenBucket } from './token-bucket.ts';

/** How much a counter admits; may differ from call to call except in `windowMs`. All whole numbers. */
export interface Allowance {
  /** Requests per window, at least 1; for TokenBucket the refill per window. */
  readonly limit: number;
  readonly windowMs: number;
  /** TokenBucket: bucket size, at least 1. Other algorithms: not looked at. */
  readonly burst: number;
  /** What one request takes; absent: 1. At most what the counter holds. */
  readonly cost?: number;
}

/**
 * The requests of one subject under one limit. Times are whole epoch milliseconds. Checking and charging are separate
 * steps, so that a request can be charged on all its counters or on none.
 *
 * A clock that steps back never frees anything early; what was counted is kept for at most two windows by the new clock.
 */
export interface Counter {
  readonly algorithm: LimitAlgorithm;
  readonly windowMs: number;
  /** Moves the counter on to `now` and returns how many requests it would admit; charges nothing. */
  available(allowance: Allowance, now: number): number;
  /** Counts one request of `cost`, default 1, at the `now` of the last `available()`. */
  charge(cost?: number): void;
  /** Counts `units` of which some count until `until`; for a new counter, before its first `available()`. */
  assume(units: number, until: number): void;
  /** What is still counted at the `now` of the last `available()`, rounded up. */
  used(): number;
  /** Epoch milliseconds from which the counter says the same as a new one. */
  wholeAt(allowance: Allowance): number;
  /** Epoch milliseconds from which more requests are admitted than now, if none is charged before; past when whole. */
  moreAt(allowance: Allowance): number;
}

/** A counter that has counted nothing. */
export function createCounter(algorithm: LimitAlgorithm, windowMs: number): Counter {
  switch (algorithm) {
    case 'SlidingWindow':
      return new SlidingWindow(windowMs);
    case 'TokenBucket':
      return new TokenBucket(windowMs);
    case 'FixedWindow':
      return new FixedWindow(windowMs);
  }
}

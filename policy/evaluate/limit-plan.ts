import type { LimitAlgorithm, OnStoreFailure } from '../bundle/types.ts';

/** One limit at one tier's rate: all a store needs to count by. */
export interface LimitPlan {
  readonly name: string;
  readonly algorithm: LimitAlgorithm;
  /** Requests per window; for TokenBucket the refill per window. At least 1. */
  readonly limit: number;
  readonly windowMs: number;
  /** TokenBucket: bucket size. Other algorithms: 0. */
  readonly burst: number;
  /** What one request takes of it, at most `limit` or `burst`; absent: 1. */
  readonly cost?: number;
  readonly onStoreFailure: OnStoreFailure;
}

import type { Denial } from '../pipeline/filter.ts';
import type { TokenRefusal } from '../tokens/token-verifier.ts';

/** What the layers of a pipeline count. */
export interface PolicyMetrics {
  /** Seconds. */
  readonly requestDuration: { record(seconds: number): void };
  /** Seconds. */
  readonly authDuration: { record(seconds: number): void };
  /** The counters of one rule by status: looked up once per bundle, incremented without any lookup. */
  statusesOf(rule: string): Float64Array;
  tokenAccepted(): void;
  tokenRefused(reason: TokenRefusal): void;
  notAuthorized(rule: string, method: string): void;
  overLimit(limit: string, tier: string): void;
  shadowDenied(denials: readonly Denial[]): void;
  upstreamFailed(reason: string): void;
}

/** Counts nothing. */
export const NO_METRICS: PolicyMetrics = {
  requestDuration: { record: () => {} },
  authDuration: { record: () => {} },
  statusesOf: () => new Float64Array(0),
  tokenAccepted: () => {},
  tokenRefused: () => {},
  notAuthorized: () => {},
  overLimit: () => {},
  shadowDenied: () => {},
  upstreamFailed: () => {},
};

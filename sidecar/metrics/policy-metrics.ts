import type { CredentialKind, CredentialRefusal } from '../filters/credential-check.ts';
import type { Denial } from '../pipeline/filter.ts';
import type { SecurityEvent, Severity, Suspicion } from '../threats/event-catalogue.ts';
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
  credentialAccepted(): void;
  credentialRefused(kind: CredentialKind, reason: CredentialRefusal): void;
  notAuthorized(rule: string, method: string): void;
  loginFailed(): void;
  overLimit(limit: string, tier: string): void;
  shadowDenied(denials: readonly Denial[]): void;
  upstreamFailed(reason: string): void;
  securityEvent(event: SecurityEvent, severity: Severity): void;
  suspicious(kind: Suspicion): void;
}

/** Counts nothing. */
export const NO_METRICS: PolicyMetrics = {
  requestDuration: { record: () => {} },
  authDuration: { record: () => {} },
  statusesOf: () => new Float64Array(0),
  tokenAccepted: () => {},
  tokenRefused: () => {},
  credentialAccepted: () => {},
  credentialRefused: () => {},
  notAuthorized: () => {},
  loginFailed: () => {},
  overLimit: () => {},
  shadowDenied: () => {},
  upstreamFailed: () => {},
  securityEvent: () => {},
  suspicious: () => {},
};

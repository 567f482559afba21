import type { JwtAlgorithm } from '../bundle/types.ts';

/** Durations that decide how long a retired key is kept, in milliseconds. */
export interface Graces {
  /** T: the longest token lifetime. */
  readonly maxTokenLifetimeMs: number;
  /** P: how long a Secret takes to reach every pod. */
  readonly propagationMs: number;
  /** S: clock skew between any two parties. */
  readonly clockSkewMs: number;
}

/** A revoked key, as the user wrote it. The list is append-only. */
export interface Revocation {
  readonly kid: string;
  readonly reason: string;
}

/** When keys change. Durations in milliseconds. */
export interface RotationSpec {
  readonly periodMs: number;
  /** How long a key is published before it may sign; the planner never waits less than P + C + S. */
  readonly prePublishMs: number;
  /** The most keys that a set holds, retired ones included; at the cap rotation waits. */
  readonly maxKeys: number;
  /** How long missing acknowledgements may delay an activation; 0: for ever. */
  readonly ackTimeoutMs: number;
  /** Epoch milliseconds: an active key older than this is replaced once this time has come; null: none. */
  readonly notBefore: number | null;
  readonly suspend: boolean;
}

/** What the planner needs of a SigningKeySet: every default filled in, every duration in milliseconds. */
export interface KeySetSpec extends Graces {
  readonly namespace: string;
  readonly name: string;
  /** metadata.uid; in local mode `namespace/name`. Only seeds the jitter. */
  readonly uid: string;
  readonly algorithm: JwtAlgorithm;
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** C: how long a verifier may cache the JWKS. */
  readonly jwksMaxAgeMs: number;
  readonly rotation: RotationSpec;
  /** Annotation `portcullis.dev/rotate-requested-at`, an opaque token; null: never asked. */
  readonly rotateRequest: string | null;
  readonly revocations: readonly Revocation[];
}

/** Whether verifiers and signers share one secret (RFC 7518 §3.2). */
export function isSymmetric(algorithm: JwtAlgorithm): boolean {
  return algorithm.startsWith('HS');
}

/** The least time in milliseconds between publishing a key and signing with it: prePublish, and never less than P + C + S. */
export function maturityMs(spec: KeySetSpec): number {
  return Math.max(spec.rotation.prePublishMs, spec.propagationMs + spec.jwksMaxAgeMs + spec.clockSkewMs);
}

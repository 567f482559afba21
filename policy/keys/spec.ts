import { isSymmetric, type KeySetAlgorithm } from './algorithms.ts';

/** Durations that decide how long a retired key is kept, in milliseconds. */
export interface Graces {
  /** T: the longest token lifetime; null: tokens live for ever (Fernet without one), and so does the key. */
  readonly maxTokenLifetimeMs: number | null;
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
  /** metadata.uid; in local mode `namespace/name`. Seeds the jitter. */
  readonly uid: string;
  readonly algorithm: KeySetAlgorithm;
  /** C: how long a verifier may cache the JWKS. */
  readonly jwksMaxAgeMs: number;
  readonly rotation: RotationSpec;
  /** Annotation `portcullis.dev/rotate-requested-at`, an opaque token; null: never asked. */
  readonly rotateRequest: string | null;
  readonly revocations: readonly Revocation[];
  /** Every key is encrypted to somebody who keeps it; null: none is. */
  readonly escrow: EscrowSpec | null;
  /** Annotation `portcullis.dev/recover`: the serial whose loss is accepted, so that new keys may be made; null: none. */
  readonly acceptedLoss: number | null;
  /** The resource is being deleted; null: it is not. */
  readonly deletion: DeletionSpec | null;
}

/** To whom keys are escrowed. */
export interface EscrowSpec {
  /** Secret in the key set's namespace whose values are OpenPGP public keys. */
  readonly recipientsSecret: string;
  /** Without a usable recipient no key is made, but to replace a revoked one. */
  readonly required: boolean;
}

/** What becomes of the keys of a resource that is deleted. */
export interface DeletionSpec {
  readonly policy: 'Retain' | 'Delete';
  /** Annotation `portcullis.dev/force-delete` names this resource's uid: keys may go without escrow. */
  readonly forced: boolean;
}

/** P + C + S in milliseconds: by then every verifier knows a key that was published. */
export function reachMs({ propagationMs, jwksMaxAgeMs, clockSkewMs }: KeySetSpec): number {
  return propagationMs + jwksMaxAgeMs + clockSkewMs;
}

/** The least time in milliseconds between publishing a key and signing with it: prePublish, and never less than P + C + S. */
export function maturityMs(spec: KeySetSpec): number {
  return Math.max(spec.rotation.prePublishMs, reachMs(spec));
}

/** The usual prePublish: the next secret of a symmetric set stays out of the pods until shortly before it is needed. */
export function defaultPrePublish(algorithm: KeySetAlgorithm): string {
  return isSymmetric(algorithm) ? '1h' : '24h';
}

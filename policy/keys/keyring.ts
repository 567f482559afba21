import type { JwtAlgorithm } from '../bundle/types.ts';
import type { Graces } from './spec.ts';

/** What makes a key, from the effect that generated it: the planner never sees randomness. */
export interface KeyMaterial {
  /** RFC 7638 thumbprint for asymmetric keys, random for symmetric ones. */
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
  /** The JWK members that verify (RFC 7518 §6); for HS* `k`, the secret itself. */
  readonly jwk: Readonly<Record<string, string>>;
  /** The further members that sign (`d` and RSA's factors); empty for HS*; null once erased. */
  readonly privateMembers: Readonly<Record<string, string>> | null;
}

interface KeyBase extends KeyMaterial {
  readonly createdAt: number;
  /** First serial whose outputs contain this key. */
  readonly addedSerial: number;
  /** When outputs with this key were seen written; null: not yet. */
  readonly publishedAt: number | null;
}

/** A published key that does not sign yet. */
export interface StandbyKey extends KeyBase {
  readonly phase: 'Standby';
}

/** The key that signs. */
export interface ActiveKey extends KeyBase {
  readonly phase: 'Active';
  readonly activatedAt: number;
  /** Serial by which it became active; seeds its jitter. */
  readonly activatedSerial: number;
  /** The largest graces seen while it was active. */
  readonly graces: Graces;
}

/** A key that signed and still verifies. */
export interface RetiredKey extends KeyBase {
  readonly phase: 'Retired';
  readonly activatedAt: number;
  readonly retiredAt: number;
  /** When outputs that sign with its successor were seen written; null: not yet. */
  readonly retireConfirmedAt: number | null;
  readonly graces: Graces;
}

/** A key in any phase of its life. Times are epoch milliseconds. */
export type Key = StandbyKey | ActiveKey | RetiredKey;

/** A key that must never come back. */
export interface Tombstone {
  readonly kid: string;
  readonly reason: string;
  readonly revokedAt: number;
}

/** The one authority on a key set: material and state. Exactly one key is active. */
export interface Keyring {
  /** `namespace/name` of the SigningKeySet. */
  readonly keySet: string;
  /** Grows by one whenever what is rendered from this keyring changes. */
  readonly serial: number;
  /** The last serial whose outputs were seen written. */
  readonly confirmed: number;
  /** The latest time ever stamped here. */
  readonly maxTime: number;
  /** The last rotate request taken note of. */
  readonly rotateRequest: string | null;
  readonly rotatePending: boolean;
  /** In order of creation. */
  readonly keys: readonly Key[];
  readonly tombstones: readonly Tombstone[];
}

/** The key that signs. */
export function activeKey(keyring: Keyring): ActiveKey {
  for (const key of keyring.keys) if (key.phase === 'Active') return key;
  throw new RangeError(`keyring of ${keyring.keySet} has no active key`);
}

import type { KeySetAlgorithm } from './algorithms.ts';
import type { Graces } from './spec.ts';

/** What makes a key, from the effect that generated it: the planner never sees randomness. */
export interface KeyMaterial {
  /** RFC 7638 thumbprint for asymmetric keys, random for symmetric ones. */
  readonly kid: string;
  readonly algorithm: KeySetAlgorithm;
  /** The JWK members that verify (RFC 7518 §6); for HS* and Fernet `k`, the secret itself. */
  readonly jwk: Readonly<Record<string, string>>;
  /** The further members that sign (`d` and RSA's factors); empty for secrets; null once erased. */
  readonly privateMembers: Readonly<Record<string, string>> | null;
}

/** What is known of any key besides its material. Times are epoch milliseconds. */
interface KeyState {
  readonly kid: string;
  readonly algorithm: KeySetAlgorithm;
  readonly createdAt: number;
  /** First serial whose outputs contain this key. */
  readonly addedSerial: number;
  /** When outputs with this key were seen written; null: not yet. */
  readonly publishedAt: number | null;
}

/** A published key that does not sign yet. */
export interface StandbyState extends KeyState {
  readonly phase: 'Standby';
}

/** The key that signs. */
export interface ActiveState extends KeyState {
  readonly phase: 'Active';
  readonly activatedAt: number;
  /** Serial by which it became active; seeds its jitter. */
  readonly activatedSerial: number;
  /** The largest graces seen while it was active. */
  readonly graces: Graces;
}

/** A key that signed and still verifies. */
export interface RetiredState extends KeyState {
  readonly phase: 'Retired';
  readonly activatedAt: number;
  readonly retiredAt: number;
  /** When outputs that sign with its successor were seen written; null: not yet. */
  readonly retireConfirmedAt: number | null;
  readonly graces: Graces;
}

export type StandbyKey = StandbyState & KeyMaterial;
export type ActiveKey = ActiveState & KeyMaterial;
export type RetiredKey = RetiredState & KeyMaterial;

/** A key in any phase of its life. */
export type Key = StandbyKey | ActiveKey | RetiredKey;

/** A key without its material: nothing secret, nor made from a secret. */
export type KeyWithoutMaterial = StandbyState | ActiveState | RetiredState;

/** A key that must never come back. */
export interface Tombstone {
  readonly kid: string;
  readonly reason: string;
  readonly revokedAt: number;
}

/** All of a keyring but its keys. */
export interface KeyringState {
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
  readonly tombstones: readonly Tombstone[];
}

/** The one authority on a key set: material and state. Exactly one key is active. */
export interface Keyring extends KeyringState {
  /** In order of creation. */
  readonly keys: readonly Key[];
}

/** A keyring without the material of its keys. */
export interface KeyringWithoutMaterial extends KeyringState {
  readonly keys: readonly KeyWithoutMaterial[];
}

/** The key that signs. */
export function activeKey(keyring: Keyring): ActiveKey {
  for (const key of keyring.keys) if (key.phase === 'Active') return key;
  throw new RangeError(`keyring of ${keyring.keySet} has no active key`);
}

/** Everything about a keyring that is no secret. */
export function withoutMaterial({ keys, ...state }: Keyring): KeyringWithoutMaterial {
  return { ...state, keys: keys.map(({ jwk: _, privateMembers: __, ...key }): KeyWithoutMaterial => key) };
}

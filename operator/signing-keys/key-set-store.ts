import type { Keyring } from '../../policy/keys/keyring.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';

/** A keyring as read, with the version that the next write must name. */
export interface StoredKeyring {
  readonly keyring: Keyring;
  /** Opaque; null in a write: there must be no keyring yet. */
  readonly version: string;
}

/** Where the keyring and the outputs of one key set live. */
export interface KeySetStore {
  /** The outputs last written, null when there are none. Read these before the keyring: the other order sees false rollbacks. */
  readOutputs(): Promise<KeySetOutputs | null>;
  /** The keyring, read live and never from a cache; null when there is none. Throws `keyring_invalid` when it is damaged. */
  readKeyring(): Promise<StoredKeyring | null>;
  /** Whether key material ever existed, by any trace of it other than the keyring. */
  wasInitialised(): Promise<boolean>;
  /** Replaces the keyring; throws `keyring_conflict` (nothing lost, plan again) unless it still has `expectedVersion`. */
  writeKeyring(keyring: Keyring, expectedVersion: string | null): Promise<void>;
  /** Replaces the outputs, unless those there have a higher serial: then it does nothing. */
  writeOutputs(outputs: KeySetOutputs): Promise<void>;
}

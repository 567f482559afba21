import type { Escrow } from '../../policy/keys/escrow.ts';
import type { Keyring } from '../../policy/keys/keyring.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import type { Traces } from '../../policy/keys/step.ts';

/** A keyring as read, with the version that the next write must name. */
export interface StoredKeyring {
  readonly keyring: Keyring;
  /** Opaque; null in a write: there must be no keyring yet. */
  readonly version: string;
}

/** An escrow as read, with the version that the next write must name. */
export interface StoredEscrow {
  readonly escrow: Escrow;
  readonly version: string;
}

/**
 * Where all that belongs to one key set lives, read live and never from a cache. Read the keyring last: the other order sees
 * false rollbacks. Conditional writes throw `keyring_conflict` (nothing lost, plan again) when another writer was first.
 */
export interface KeySetStore {
  /** The outputs last written, null when there are none. */
  readOutputs(): Promise<KeySetOutputs | null>;
  /** Whether what stands in the key set's own namespace is what `outputs` say; with null, whether nothing stands there. */
  isExported(outputs: KeySetOutputs | null): Promise<boolean>;
  /** The escrow last written, null when there is none. */
  readEscrow(): Promise<StoredEscrow | null>;
  /** What else shows that there was a keyring (status, annotation, exports); null: nothing. */
  readTraces(): Promise<Traces | null>;
  /** The keyring, null when there is none. Throws `keyring_invalid` when it is damaged. */
  readKeyring(): Promise<StoredKeyring | null>;
  /** Replaces the keyring, if it still has `expectedVersion`. */
  writeKeyring(keyring: Keyring, expectedVersion: string | null): Promise<void>;
  /** Replaces the outputs, unless those there have a higher serial: then it does nothing. */
  writeOutputs(outputs: KeySetOutputs): Promise<void>;
  /**
   * Brings what stands in the key set's own namespace in line with `outputs`, if these are still the outputs: else it does
   * nothing. Throws `exports_refused` when something of somebody else's is in the way.
   */
  writeExports(outputs: KeySetOutputs): Promise<void>;
  /** Replaces the escrow, if it still has `expectedVersion`. */
  writeEscrow(escrow: Escrow, expectedVersion: string | null): Promise<void>;
  /** Removes exports, outputs and keyring, in this order, if the keyring still has `expectedVersion`. The escrow stays. */
  erase(expectedVersion: string | null): Promise<void>;
}

import { isDeepStrictEqual } from 'node:util';
import type { Escrow } from '../escrow.ts';
import type { Keyring } from '../keyring.ts';
import type { KeySetOutputs } from '../outputs.ts';
import type { Traces } from '../step.ts';

/** All that belongs to one key set, with the conditions of the real stores: a write that lost a race returns false. */
export class SimulatedStore {
  keyring: Keyring | null = null;
  outputs: KeySetOutputs | null = null;
  /** What stands in the key set's own namespace, by the outputs that it was made of. */
  exports: KeySetOutputs | null = null;
  escrow: Escrow | null = null;
  /** The serial that the status shows; null: none. */
  status: number | null = null;
  /** The annotation that says that there were outputs. */
  initialised = false;
  #keyringVersion = 0;
  #escrowVersion = 0;

  /** What the next conditional write of the keyring must name; null: that there is none. */
  get keyringVersion(): number | null {
    return this.keyring === null ? null : this.#keyringVersion;
  }

  /** What the next conditional write of the escrow must name; null: that there is none. */
  get escrowVersion(): number | null {
    return this.escrow === null ? null : this.#escrowVersion;
  }

  /** What else than keyring and outputs tells of a keyring. */
  traces(): Traces | null {
    const index = this.escrow?.index ?? null;
    if (index === null && this.status === null && !this.initialised && this.exports === null) return null;
    return { serial: Math.max(index?.serial ?? 0, this.status ?? 0) };
  }

  /** The highest serial that anything but the keyring shows; null: nothing tells of a keyring. */
  lostSerial(): number | null {
    const traces = this.traces();
    if (traces === null && this.outputs === null) return null;
    return Math.max(traces?.serial ?? 0, this.outputs?.serial ?? 0);
  }

  isExported(outputs: KeySetOutputs | null): boolean {
    return isDeepStrictEqual(this.exports, outputs);
  }

  writeKeyring(keyring: Keyring, expected: number | null): boolean {
    if (expected !== this.keyringVersion) return false;
    this.replaceKeyring(keyring);
    return true;
  }

  /** By someone who asks nobody: an admin, or a restored backup. */
  replaceKeyring(keyring: Keyring | null): void {
    this.keyring = keyring;
    this.#keyringVersion++;
  }

  writeEscrow(escrow: Escrow, expected: number | null): boolean {
    if (expected !== this.escrowVersion) return false;
    this.escrow = escrow;
    this.#escrowVersion++;
    return true;
  }

  writeExports(outputs: KeySetOutputs): void {
    if (isDeepStrictEqual(this.outputs, outputs)) this.exports = outputs;
  }

  /** What a controller says at the end of a pass; what it said before of a serial stays. */
  writeStatus(serial: number): void {
    if (serial > 0) this.status = Math.max(this.status ?? 0, serial);
    if (this.outputs !== null) this.initialised = true;
  }
}

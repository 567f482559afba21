import { isDeepStrictEqual } from 'node:util';
import { PortcullisError } from '../../../policy/errors.ts';
import type { Escrow } from '../../../policy/keys/escrow.ts';
import { exportOf, type KeySetExport } from '../../../policy/keys/exports.ts';
import type { Keyring } from '../../../policy/keys/keyring.ts';
import type { KeySetOutputs } from '../../../policy/keys/outputs.ts';
import type { Traces } from '../../../policy/keys/step.ts';
import type { KeySetStore, StoredEscrow, StoredKeyring } from '../key-set-store.ts';

/**
 * A KeySetStore in memory, whose contents tests may change behind its back. `log` names every call in order; `before` may
 * act, or throw, before one.
 */
export class MemoryKeyStore implements KeySetStore {
  readonly log: string[] = [];
  keyring: Keyring | null = null;
  outputs: KeySetOutputs | null = null;
  escrow: Escrow | null = null;
  exports: (KeySetExport & { readonly serial: number }) | null = null;
  /** Besides exports. */
  traces: Traces | null = null;
  before: (call: string) => void | Promise<void> = () => {};
  /** Grows with every write of a keyring or an escrow. */
  #version = 0;
  #keyringVersion = '';
  #escrowVersion = '';

  async readOutputs(): Promise<KeySetOutputs | null> {
    await this.#called('readOutputs');
    return this.outputs;
  }

  async isExported(outputs: KeySetOutputs | null): Promise<boolean> {
    await this.#called('isExported');
    return isDeepStrictEqual(this.exports, exportsOf(outputs));
  }

  async readEscrow(): Promise<StoredEscrow | null> {
    await this.#called('readEscrow');
    return this.escrow === null ? null : { escrow: this.escrow, version: this.#escrowVersion };
  }

  async readTraces(): Promise<Traces | null> {
    await this.#called('readTraces');
    return this.traces ?? (this.exports === null ? null : { serial: 0 });
  }

  async readKeyring(): Promise<StoredKeyring | null> {
    await this.#called('readKeyring');
    return this.keyring === null ? null : { keyring: this.keyring, version: this.#keyringVersion };
  }

  async writeKeyring(keyring: Keyring, expectedVersion: string | null): Promise<void> {
    await this.#called('writeKeyring');
    expectVersion(this.keyring === null ? null : this.#keyringVersion, expectedVersion);
    this.keyring = keyring;
    this.#keyringVersion = String(++this.#version);
  }

  async writeOutputs(outputs: KeySetOutputs): Promise<void> {
    await this.#called('writeOutputs');
    if (this.outputs === null || this.outputs.serial <= outputs.serial) this.outputs = outputs;
  }

  async writeExports(outputs: KeySetOutputs): Promise<void> {
    await this.#called('writeExports');
    if (isDeepStrictEqual(this.outputs, outputs)) this.exports = exportsOf(outputs);
  }

  async writeEscrow(escrow: Escrow, expectedVersion: string | null): Promise<void> {
    await this.#called('writeEscrow');
    expectVersion(this.escrow === null ? null : this.#escrowVersion, expectedVersion);
    this.escrow = escrow;
    this.#escrowVersion = String(++this.#version);
  }

  async erase(expectedVersion: string | null): Promise<void> {
    await this.#called('erase');
    expectVersion(this.keyring === null ? null : this.#keyringVersion, expectedVersion);
    this.exports = null;
    this.outputs = null;
    this.keyring = null;
  }

  async #called(call: string): Promise<void> {
    this.log.push(call);
    await this.before(call);
  }
}

function exportsOf(outputs: KeySetOutputs | null): MemoryKeyStore['exports'] {
  const wanted = outputs && exportOf(outputs);
  return wanted && { ...wanted, serial: outputs.serial };
}

function expectVersion(found: string | null, expected: string | null): void {
  if (found !== expected) throw new PortcullisError('keyring_conflict', 'another writer was first', { retry: 'later' });
}

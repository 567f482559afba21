import { PortcullisError } from '../../../policy/errors.ts';
import type { Keyring } from '../../../policy/keys/keyring.ts';
import type { KeySetOutputs } from '../../../policy/keys/outputs.ts';
import type { KeySetStore, StoredKeyring } from '../key-set-store.ts';

/** A KeySetStore in memory. `log` names every call in order; `before` may act, or throw, before one. */
export class MemoryKeyStore implements KeySetStore {
  readonly log: string[] = [];
  keyring: Keyring | null = null;
  outputs: KeySetOutputs | null = null;
  before: (call: string) => void | Promise<void> = () => {};
  #version = 0;

  async readOutputs(): Promise<KeySetOutputs | null> {
    await this.#called('readOutputs');
    return this.outputs;
  }

  async readKeyring(): Promise<StoredKeyring | null> {
    await this.#called('readKeyring');
    return this.keyring === null ? null : { keyring: this.keyring, version: String(this.#version) };
  }

  async wasInitialised(): Promise<boolean> {
    return this.outputs !== null;
  }

  async writeKeyring(keyring: Keyring, expectedVersion: string | null): Promise<void> {
    await this.#called('writeKeyring');
    if ((this.keyring === null ? null : String(this.#version)) !== expectedVersion) {
      throw new PortcullisError('keyring_conflict', 'another writer was first', { retry: 'later' });
    }
    this.keyring = keyring;
    this.#version++;
  }

  async writeOutputs(outputs: KeySetOutputs): Promise<void> {
    await this.#called('writeOutputs');
    if (this.outputs === null || this.outputs.serial <= outputs.serial) this.outputs = outputs;
  }

  async #called(call: string): Promise<void> {
    this.log.push(call);
    await this.before(call);
  }
}

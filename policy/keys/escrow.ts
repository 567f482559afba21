import { isDeepStrictEqual } from 'node:util';
import { type Keyring, type KeyringWithoutMaterial, withoutMaterial } from './keyring.ts';

/** What the escrow of a key set holds: nothing of it is secret without a recipient's private key. */
export interface Escrow {
  /** OpenPGP fingerprints, in hexadecimal, to whom the keys of the index are encrypted; sorted. */
  readonly recipients: readonly string[];
  /** The keyring that this was written from; null: only messages have been written so far. */
  readonly index: KeyringWithoutMaterial | null;
  /** By kid: the key's material as an armoured OpenPGP message. Keys that are no more may be among them. */
  readonly messages: Readonly<Record<string, string>>;
}

/** Whether every key of a keyring can be brought back from its escrow by these recipients. */
export function isEscrowed(keyring: Keyring, escrow: Escrow | null, recipients: readonly string[]): boolean {
  return (
    escrow !== null &&
    isDeepStrictEqual(escrow.recipients, recipients) &&
    keyring.keys.every(({ kid }) => Object.hasOwn(escrow.messages, kid)) &&
    isDeepStrictEqual(escrow.index, withoutMaterial(keyring))
  );
}

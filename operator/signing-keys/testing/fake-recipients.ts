import type { Escrow } from '../../../policy/keys/escrow.ts';
import { decodeEscrowedKey } from '../../../policy/keys/escrow-document.ts';
import type { KeyMaterial } from '../../../policy/keys/keyring.ts';
import type { UsableRecipients } from '../../escrow/recipients.ts';

/** Recipients whose messages anybody can open; as with OpenPGP, no two of one text are the same. */
export function fakeRecipients(...fingerprints: readonly string[]): UsableRecipients {
  let messages = 0;
  return {
    kind: 'Usable',
    fingerprints,
    encrypt: async (text) => `${fingerprints.join()} ${++messages} ${Buffer.from(text).toString('base64')}`,
  };
}

/** The keys in an escrow to fake recipients, by kid. */
export function openedEscrow(keySet: string, escrow: Escrow | null): ReadonlyMap<string, KeyMaterial> {
  const opened = new Map<string, KeyMaterial>();
  for (const [kid, message] of Object.entries(escrow?.messages ?? {})) {
    const found = decodeEscrowedKey(Buffer.from(message.split(' ')[2] ?? '', 'base64').toString());
    if (found.keySet !== keySet || found.key.kid !== kid) throw new Error(`${kid}: another key`);
    opened.set(kid, found.key);
  }
  return opened;
}

import type { Escrow } from '../../policy/keys/escrow.ts';
import { encodeEscrowedKey } from '../../policy/keys/escrow-document.ts';
import { type Key, type KeyMaterial, type Keyring, withoutMaterial } from '../../policy/keys/keyring.ts';
import type { UsableRecipients } from './recipients.ts';

/** A Secret holds 1 MiB; the rest is for its index and base64. */
const MOST_MESSAGE_BYTES = 512 * 1024;

/** The escrow with one key more, which is in no keyring yet. `keySet`: `namespace/name`. */
export async function escrowNewKey(
  keySet: string,
  key: KeyMaterial,
  before: Escrow | null,
  recipients: UsableRecipients,
): Promise<Escrow> {
  const message = await recipients.encrypt(encodeEscrowedKey(keySet, key));
  const index = before?.index ?? null;
  const wanted = new Set([key.kid, ...(index?.keys ?? []).map(({ kid }) => kid)]);
  return {
    recipients: before?.recipients ?? recipients.fingerprints, // of the index, which has not this key yet
    index,
    messages: bounded({ ...before?.messages, [key.kid]: message }, wanted),
  };
}

/**
 * The escrow of a keyring. What the index has, encrypted to the same recipients, stays, for encrypting twice gives two texts; a
 * message that came before its key may be to the recipients of another moment.
 */
export async function escrowKeyring(
  keyring: Keyring,
  before: Escrow | null,
  recipients: UsableRecipients,
): Promise<Escrow> {
  const same = before?.recipients.join() === recipients.fingerprints.join();
  const indexed = new Set(before?.index?.keys.map(({ kid }) => kid));
  const messages: Record<string, string> = { ...before?.messages };
  for (const key of keyring.keys) {
    if (same && indexed.has(key.kid) && Object.hasOwn(messages, key.kid)) continue;
    messages[key.kid] = await recipients.encrypt(encodeEscrowedKey(keyring.keySet, materialOf(key)));
  }
  const kids = new Set(keyring.keys.map(({ kid }) => kid));
  return {
    recipients: recipients.fingerprints,
    index: withoutMaterial(keyring),
    messages: bounded(messages, kids),
  };
}

function materialOf({ kid, algorithm, jwk, privateMembers }: Key): KeyMaterial {
  return { kid, algorithm, jwk, privateMembers };
}

/** Keys that are gone stay escrowed while there is room: a ciphertext may turn up that needs one. */
function bounded(messages: Readonly<Record<string, string>>, wanted: ReadonlySet<string>): Record<string, string> {
  const entries = Object.entries(messages);
  let bytes = entries.reduce((sum, [, message]) => sum + message.length, 0);
  return Object.fromEntries(
    entries.filter(([kid, message]) => {
      if (bytes <= MOST_MESSAGE_BYTES || wanted.has(kid)) return true;
      bytes -= message.length;
      return false;
    }),
  );
}

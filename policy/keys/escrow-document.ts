import { type Check, list, name, nullable, object, oneOf } from '../bundle/check.ts';
import type { Escrow } from './escrow.ts';
import type { KeyMaterial } from './keyring.ts';
import { keyMaterial, keyringWithoutMaterial } from './keyring-document.ts';
import { readDocument } from './read-document.ts';

const FORMAT = 'portcullis-escrow/v1';
const KEY_FORMAT = 'portcullis-escrowed-key/v1';

/** The file of an escrow that says what its messages are; the others are `<kid>.asc`. */
export const ESCROW_INDEX_FILE = 'escrow.json';

const MESSAGE_SUFFIX = '.asc';

/** An escrow as texts by file name; no secret in them can be read without a recipient's private key. */
export function encodeEscrow({ recipients, index, messages }: Escrow): Readonly<Record<string, string>> {
  const named = Object.entries(messages).map(([kid, message]) => [`${kid}${MESSAGE_SUFFIX}`, message] as const);
  return {
    [ESCROW_INDEX_FILE]: `${JSON.stringify({ format: FORMAT, recipients, index }, null, 2)}\n`,
    ...Object.fromEntries(named),
  };
}

/** The escrow in such files. Throws `keyring_invalid`, naming the place. */
export function decodeEscrow(files: Readonly<Record<string, string>>): Escrow {
  const { recipients, index } = readDocument(files[ESCROW_INDEX_FILE] ?? '', document);
  const messages = Object.entries(files).flatMap(([file, text]) =>
    file.endsWith(MESSAGE_SUFFIX) ? [[file.slice(0, -MESSAGE_SUFFIX.length), text] as const] : [],
  );
  return { recipients, index, messages: Object.fromEntries(messages) };
}

/** What is encrypted of one key. Holds its private half, or its secret. `keySet`: `namespace/name`. */
export function encodeEscrowedKey(keySet: string, key: KeyMaterial): string {
  const { kid, algorithm, jwk, privateMembers } = key;
  return `${JSON.stringify({ format: KEY_FORMAT, keySet, key: { kid, algorithm, jwk, privateMembers } }, null, 2)}\n`;
}

/** The key in a decrypted message. Throws `keyring_invalid`, naming the place and never a value. */
export function decodeEscrowedKey(text: string): { readonly keySet: string; readonly key: KeyMaterial } {
  const { keySet, key } = readDocument(text, escrowedKey);
  return { keySet, key };
}

const document = object<Pick<Escrow, 'recipients' | 'index'> & { readonly format: typeof FORMAT }>({
  format: oneOf(FORMAT),
  recipients: list(name),
  index: nullable(keyringWithoutMaterial),
});

const escrowedKey: Check<{
  readonly format: typeof KEY_FORMAT;
  readonly keySet: string;
  readonly key: KeyMaterial;
}> = object({ format: oneOf(KEY_FORMAT), keySet: name, key: keyMaterial });

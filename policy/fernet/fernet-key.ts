import { createSecretKey, type KeyObject } from 'node:crypto';
import type { ParseResult } from '../evaluate/parse-result.ts';
import { decodePaddedBase64Url, encodePaddedBase64Url } from './padded-base64url.ts';

/** Bytes of a key: 16 that sign, then 16 that encrypt (Fernet spec, "Key Format"). */
export const FERNET_KEY_BYTES = 32;

/** A Fernet key. Its halves are KeyObjects, so that printing it shows nothing secret. */
export interface FernetKey {
  /** HMAC-SHA256. */
  readonly signing: KeyObject;
  /** AES-128-CBC. */
  readonly encryption: KeyObject;
}

const REMEDY = 'write 32 bytes in base64url with padding (44 characters), such as portcullis fernet keygen prints';

/** Parses the text of one key. The message says what to write and nothing of the text. */
export function parseFernetKey(text: string): ParseResult<FernetKey> {
  const bytes = decodePaddedBase64Url(text);
  if (bytes?.length !== FERNET_KEY_BYTES) return { ok: false, message: `this is no Fernet key: ${REMEDY}` };
  const signing = createSecretKey(bytes.subarray(0, FERNET_KEY_BYTES / 2));
  const encryption = createSecretKey(bytes.subarray(FERNET_KEY_BYTES / 2));
  return { ok: true, value: { signing, encryption } };
}

/** Parses a MultiFernet list: one key a line, the primary first; blank lines and those that begin with # are skipped. */
export function parseFernetKeys(text: string): ParseResult<readonly FernetKey[]> {
  const keys: FernetKey[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const key = parseFernetKey(trimmed);
    if (!key.ok) return { ok: false, message: `line ${index + 1}: ${key.message}` };
    keys.push(key.value);
  }
  return keys.length > 0 ? { ok: true, value: keys } : { ok: false, message: `there is no key in it: ${REMEDY}` };
}

/** The text of a key made of these 32 bytes. Throws RangeError on another number of them. */
export function formatFernetKey(bytes: Buffer): string {
  if (bytes.length !== FERNET_KEY_BYTES) throw new RangeError(`a Fernet key has 32 bytes, not ${bytes.length}`);
  return encodePaddedBase64Url(bytes);
}

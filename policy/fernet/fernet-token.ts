import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import type { FernetKey } from './fernet-key.ts';
import { decodePaddedBase64Url, encodePaddedBase64Url } from './padded-base64url.ts';

// Version (1) ‖ Timestamp (8) ‖ IV (16) ‖ Ciphertext (16 n, n > 0) ‖ HMAC (32): Fernet spec, "Token Format".
const VERSION = 0x80;
const [TIMESTAMP_AT, IV_AT, CIPHERTEXT_AT] = [1, 9, 25];
const BLOCK_BYTES = 16;
const HMAC_BYTES = 32;
const MIN_TOKEN_BYTES = CIPHERTEXT_AT + BLOCK_BYTES + HMAC_BYTES;
const CIPHER = 'aes-128-cbc';

/** Why a token is refused: a closed list. A wrong key and an altered token cannot be told apart. */
export type FernetRefusalReason = 'malformed' | 'not_authentic' | 'expired' | 'from_future';

/** A refused token. */
export interface FernetRefusal {
  readonly refused: FernetRefusalReason;
}

/** What a token held. */
export interface DecryptedFernet {
  readonly plaintext: Buffer;
  /** Which of the keys made it: the format has no kid. */
  readonly keyIndex: number;
  /** Epoch milliseconds, in whole seconds. */
  readonly issuedAt: number;
}

/** A token made anew. */
export interface RotatedFernet {
  readonly token: string;
  /** Which of the keys had made it. */
  readonly keyIndex: number;
}

/** How old a token may be, as Python's `cryptography` understands `ttl`: in whole seconds, both ends included. */
export interface FernetFreshness {
  /** Epoch milliseconds. */
  readonly now: number;
  readonly ttlMs: number;
  /** How far ahead of `now` a token may have been made, in milliseconds. */
  readonly clockSkewMs: number;
}

/** A token (Fernet spec, "Generating") made at `now`, epoch milliseconds. `iv`: 16 bytes, random and never used twice. */
export function encryptFernet(
  key: FernetKey,
  plaintext: Uint8Array,
  { iv, now }: { readonly iv: Uint8Array; readonly now: number },
): string {
  const timestamp = Buffer.alloc(IV_AT - TIMESTAMP_AT);
  timestamp.writeBigUInt64BE(BigInt(Math.floor(now / 1000)));
  return seal(key, timestamp, iv, plaintext);
}

/**
 * What a token holds, by the first of the keys that fits; order of checks: canonical base64url, version and length, HMAC,
 * freshness, padding. Without `freshness` neither age nor future is looked at: data at rest has no end.
 */
export function decryptFernet(
  keys: readonly FernetKey[],
  token: string,
  freshness?: FernetFreshness,
): DecryptedFernet | FernetRefusal {
  const bytes = parse(token);
  return bytes === null ? { refused: 'malformed' } : open(keys, bytes, freshness);
}

/** The token again under the first key, with the timestamp that it had. `iv`: 16 bytes, random and never used twice. */
export function rotateFernet(
  keys: readonly FernetKey[],
  token: string,
  { iv }: { readonly iv: Uint8Array },
): RotatedFernet | FernetRefusal {
  const bytes = parse(token);
  if (bytes === null) return { refused: 'malformed' };
  const opened = open(keys, bytes);
  if ('refused' in opened) return opened;
  const { plaintext, keyIndex } = opened;
  return { token: seal(keys[0]!, bytes.subarray(TIMESTAMP_AT, IV_AT), iv, plaintext), keyIndex };
}

function parse(token: string): Buffer | null {
  const bytes = decodePaddedBase64Url(token);
  if (bytes === null || bytes[0] !== VERSION || bytes.length < MIN_TOKEN_BYTES) return null;
  return (bytes.length - CIPHERTEXT_AT - HMAC_BYTES) % BLOCK_BYTES === 0 ? bytes : null;
}

function open(keys: readonly FernetKey[], bytes: Buffer, freshness?: FernetFreshness): DecryptedFernet | FernetRefusal {
  const signed = bytes.subarray(0, -HMAC_BYTES);
  const issuedAt = Number(bytes.readBigUInt64BE(TIMESTAMP_AT)) * 1000;
  for (const [keyIndex, key] of keys.entries()) {
    if (!timingSafeEqual(hmac(key, signed), bytes.subarray(-HMAC_BYTES))) continue;
    const stale = freshness && staleness(issuedAt, freshness);
    if (stale) return { refused: stale };
    const plaintext = decipher(key, signed);
    // Authentic, yet not padded: two keys that share the half that signs, or an issuer that does not follow the specification.
    if (plaintext !== null) return { plaintext, keyIndex, issuedAt };
  }
  return { refused: 'not_authentic' };
}

function staleness(issuedAt: number, { now, ttlMs, clockSkewMs }: FernetFreshness): FernetRefusalReason | undefined {
  const second = Math.floor(now / 1000) * 1000;
  if (issuedAt + ttlMs < second) return 'expired';
  return second + clockSkewMs < issuedAt ? 'from_future' : undefined;
}

function seal(key: FernetKey, timestamp: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): string {
  const cipher = createCipheriv(CIPHER, key.encryption, iv);
  const signed = Buffer.concat([Buffer.of(VERSION), timestamp, iv, cipher.update(plaintext), cipher.final()]);
  return encodePaddedBase64Url(Buffer.concat([signed, hmac(key, signed)]));
}

function decipher(key: FernetKey, signed: Buffer): Buffer | null {
  const cipher = createDecipheriv(CIPHER, key.encryption, signed.subarray(IV_AT, CIPHERTEXT_AT));
  const start = cipher.update(signed.subarray(CIPHERTEXT_AT));
  try {
    return Buffer.concat([start, cipher.final()]);
  } catch {
    return null;
  }
}

function hmac(key: FernetKey, signed: Buffer): Buffer {
  return createHmac('sha256', key.signing).update(signed).digest();
}

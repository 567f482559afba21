import { randomBytes } from 'node:crypto';
import type { Key, WebStream } from 'openpgp';

/** Loaded when used: only where keys are escrowed, or a file is encrypted. */
const openpgp = () => import('openpgp');

/** Each signature within costs a check before anything is known of the key. With photographs keys come longer. */
const MAX_KEY_BYTES = 16_384;
/** What gpg 2.2 knows too. The library computes others, DSA above all, by itself: one key of DSA blocks all else for minutes. */
const ALGORITHMS = new Set(['rsaEncryptSign', 'rsaEncrypt', 'rsaSign', 'ecdh', 'ecdsa', 'eddsaLegacy']);
const EXPORT = 'write what `gpg --armor --export FINGERPRINT` prints';

/** Somebody who can be encrypted to. */
export interface PublicKey {
  /** Of the primary key (RFC 9580 §5.5.4), in upper-case hexadecimal. */
  readonly fingerprint: string;
  readonly key: Key;
}

/** The public key in an armoured text, or why nobody can be encrypted to by it and what to write instead. */
export type ReadPublicKey = PublicKey | { readonly problem: string };

/** Reads one OpenPGP public key that can be encrypted to at `now` (epoch milliseconds). Never throws. */
export async function readPublicKey(armored: string, now: number): Promise<ReadPublicKey> {
  if (armored.includes('-----BEGIN PGP PRIVATE KEY BLOCK')) return { problem: LEAKED };
  if (armored.length > MAX_KEY_BYTES) {
    return { problem: `is longer than ${MAX_KEY_BYTES} bytes; add --export-options export-minimal to gpg --export` };
  }
  try {
    const { readKeys } = await openpgp();
    const keys = await readKeys({ armoredKeys: armored });
    if (keys.some((key) => key.isPrivate())) return { problem: LEAKED };
    // Of several blocks the library reads the first alone.
    if (keys.length > 1 || armored.split('-----BEGIN PGP').length > 2) {
      return { problem: 'holds several keys; give each its own entry' };
    }
    return await usable(keys[0]!, now);
  } catch (error) {
    return { problem: `is no OpenPGP public key (${reasonOf(error)}); ${EXPORT}` };
  }
}

const LEAKED =
  'is a PRIVATE key: take it away at once, treat it as leaked and revoke it, and write the public key of another, as `gpg --armor --export FINGERPRINT` prints it';

async function usable(key: Key, now: number): Promise<ReadPublicKey> {
  const fingerprint = key.getFingerprint().toUpperCase();
  const { version } = key.keyPacket;
  const named = `is key ${fingerprint}, which`;
  if (version !== 4)
    return { problem: `${named} is of version ${version}, which gpg cannot read; write one of version 4` };
  const other = key.getKeys().find(({ keyPacket }) => !ALGORITHMS.has(keyPacket.getAlgorithmInfo().algorithm));
  if (other !== undefined) {
    const { algorithm } = other.keyPacket.getAlgorithmInfo();
    return { problem: `${named} has a key of ${algorithm}; write one of RSA, or of a curve that gpg 2.2 knows alone` };
  }
  const date = new Date(now);
  try {
    if (await key.isRevoked(undefined, undefined, date)) {
      return { problem: `${named} is revoked; write the key that took its place` };
    }
    const expires = await key.getExpirationTime();
    if (expires instanceof Date && expires.getTime() <= now) {
      const extend = `extend it (gpg --quick-set-expire ${fingerprint} 2y; for its subkeys add '*'), then ${EXPORT}`;
      return { problem: `${named} expired at ${expires.toISOString()}; ${extend}` };
    }
    // Says whether a subkey encrypts, and finds what only looks well, before a signing key depends on it.
    await encryptTo([{ fingerprint, key }], new Uint8Array(1), now);
    return { fingerprint, key };
  } catch (error) {
    const add = `it wants a valid subkey for that (gpg --quick-add-key ${fingerprint} cv25519 encr); then ${EXPORT}`;
    return { problem: `${named} cannot be encrypted to (${reasonOf(error)}); ${add}` };
  }
}

/** The library's word on it, in one short line without what a terminal would obey. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : 'unreadable';
  return message.replace(/[^\P{C}]/gu, ' ').slice(0, 200);
}

type Encrypted<T> = T extends Uint8Array ? string : WebStream<string>;

/**
 * An armoured OpenPGP message that each of these can read with gpg 2.2 or newer: AES-256 in SEIPDv1 (RFC 9580 §5.13.1), not
 * compressed, not signed. `now`: epoch milliseconds.
 */
export async function encryptTo<T extends Uint8Array | WebStream<Uint8Array>>(
  recipients: readonly PublicKey[],
  content: T,
  now: number,
): Promise<Encrypted<T>> {
  const { createMessage, encrypt } = await openpgp();
  const date = new Date(now);
  const armored = await encrypt({
    message: await createMessage({ binary: content, date }),
    encryptionKeys: recipients.map(({ key }) => key),
    // Given, so that it is not chosen by what the recipients' keys prefer: AES-128, or AEAD that gpg cannot read.
    sessionKey: { data: randomBytes(32), algorithm: 'aes256' },
    date,
  });
  return armored as Encrypted<T>;
}

import { hash } from 'node:crypto';

/** `pk_`, 24 random bytes and the checksum, base64url. */
const API_KEY = /^pk_[A-Za-z0-9_-]{38}$/;
const RANDOM_BYTES = 24;
const CHECKSUM_LENGTH = 6;

/** The key that 24 random bytes make: 192 bits, so that a hash without salt or work keeps it. Throws RangeError for another number of bytes. */
export function apiKeyOf(random: Uint8Array): string {
  if (random.length !== RANDOM_BYTES) throw new RangeError(`an API key is made of ${RANDOM_BYTES} random bytes`);
  const body = `pk_${Buffer.from(random).toString('base64url')}`;
  return body + checksumOf(body);
}

/** Whether a text is whole: what was cut short or mistyped is told without asking who it belongs to, and chosen words are no keys. */
export function isApiKey(text: string): boolean {
  return API_KEY.test(text) && text.endsWith(checksumOf(text.slice(0, -CHECKSUM_LENGTH)));
}

/** SHA-256 of a key in lower-case hex, as `printf %s KEY | sha256sum` prints it: all that is stored of it. */
export function apiKeyHash(key: string): string {
  return hash('sha256', key, 'hex');
}

function checksumOf(body: string): string {
  return hash('sha256', body, 'base64url').slice(0, CHECKSUM_LENGTH);
}

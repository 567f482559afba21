import { createHash, createHmac } from 'node:crypto';

const FAMILY_BYTES = 16;
const SECRET_BYTES = 32;
const FORMAT = /^ptr_([A-Za-z0-9_-]{22})_([A-Za-z0-9_-]{43})$/;

/** A refresh token taken apart: the name of its family and the secret, both base64url. */
export interface RefreshToken {
  readonly family: string;
  readonly secret: string;
}

/** A token of a new family: 128 random bits of name, 256 of secret. */
export function newRefreshToken(randomBytes: (size: number) => Buffer): RefreshToken {
  return {
    family: randomBytes(FAMILY_BYTES).toString('base64url'),
    secret: randomBytes(SECRET_BYTES).toString('base64url'),
  };
}

/** The token as clients hold it; opaque to them. */
export function formatRefreshToken({ family, secret }: RefreshToken): string {
  return `ptr_${family}_${secret}`;
}

/** Undefined for what cannot be one of our tokens. */
export function parseRefreshToken(text: string): RefreshToken | undefined {
  const [, family, secret] = FORMAT.exec(text) ?? [];
  return family === undefined || secret === undefined ? undefined : { family, secret };
}

/** What is stored instead of a secret; SHA-256 is enough for 256 random bits. */
export function hashOfSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

/**
 * The secret that replaces `secret`. Whoever holds the old one can compute it from the salt, so that a repeated refresh gives the same
 * token again, and the store, which has the salt and never a secret, cannot.
 */
export function successorOf(secret: string, salt: string): string {
  return createHmac('sha256', secret).update(salt).digest('base64url');
}

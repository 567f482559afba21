import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import type { JwtAlgorithm, VerificationKey } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { decodeBase64Url } from './parse-compact-jws.ts';
import { weaknessOfSecret } from './weak-secrets.ts';

/** A verification key that passed every check of its kind. */
export interface LoadedKey {
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
  readonly key: KeyObject;
  /** Bytes of every signature by this key (RFC 7518 §3.2 to §3.4). */
  readonly signatureBytes: number;
  /** Two keys with the same text are the same key. Holds the secret of a symmetric key: never log it. */
  readonly identity: string;
}

/** What a JWK must consist of for an algorithm (RFC 7518 §6), in the order in which `identity` spells it. */
const KEY_MEMBERS: Readonly<Record<JwtAlgorithm, { readonly kty: string; readonly members: readonly string[] }>> = {
  HS256: { kty: 'oct', members: ['k'] },
  RS256: { kty: 'RSA', members: ['n', 'e'] },
  ES256: { kty: 'EC', members: ['crv', 'x', 'y'] },
};

const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];
const MIN_RSA_BITS = 2048;
const MIN_SECRET_BYTES = 32;

/**
 * Loads one authenticator's verification keys, by kid. Throws `key_refused` for a key that would make signatures
 * forgeable or that is not what it claims to be: short or weak material, another type, use, algorithm or curve, a private
 * member, a kid that occurs twice. Messages never show key material.
 */
export function loadKeys(keys: readonly VerificationKey[]): ReadonlyMap<string, LoadedKey> {
  const loaded = new Map<string, LoadedKey>();
  for (const key of keys) {
    if (loaded.has(key.kid)) throw refused(key, 'its kid occurs twice in one key set; give every key a kid of its own');
    loaded.set(key.kid, loadKey(key));
  }
  return loaded;
}

function loadKey(source: VerificationKey): LoadedKey {
  const { kid, algorithm, jwk } = source;
  const { kty, members } = KEY_MEMBERS[algorithm];
  if (kid === '') throw refused(source, 'its kid is empty; use the RFC 7638 thumbprint');
  checkMembers(source, kty, members);
  return {
    kid,
    algorithm,
    ...(algorithm === 'HS256' ? importSecret(source) : importPublicKey(source)),
    identity: JSON.stringify([algorithm, ...members.map((member) => jwk[member])]),
  };
}

function checkMembers(source: VerificationKey, kty: string, members: readonly string[]): void {
  const { kid, algorithm, jwk } = source;
  const expected: Readonly<Record<string, string>> = { kty, alg: algorithm, use: 'sig', kid };
  for (const [member, value] of Object.entries(jwk)) {
    if (PRIVATE_MEMBERS.includes(member)) {
      throw refused(source, `it holds the private member "${member}"; publish the public half only`);
    }
    if (members.includes(member)) continue;
    if (!Object.hasOwn(expected, member)) {
      throw refused(
        source,
        `"${member}" has no place in a ${algorithm} key; it consists of kty, ${members.join(', ')}`,
      );
    }
    if (value !== expected[member]) {
      throw refused(source, `its ${member} is "${value}" where ${algorithm} needs "${expected[member]}"`);
    }
  }
  if (jwk['kty'] !== kty) throw refused(source, `it has no kty; ${algorithm} needs "${kty}"`);
  for (const member of members) {
    const value = jwk[member];
    if (typeof value !== 'string' || value === '') throw refused(source, `its member "${member}" is missing`);
    if (member === 'crv') {
      if (value !== 'P-256') throw refused(source, `its curve is "${value}"; ES256 needs "P-256"`);
    } else if (decodeBase64Url(value) === undefined) {
      throw refused(source, `its member "${member}" is not base64url without padding (RFC 7515 §2)`);
    }
  }
}

function importSecret(source: VerificationKey): Pick<LoadedKey, 'key' | 'signatureBytes'> {
  const secret = Buffer.from(source.jwk['k'] ?? '', 'base64url');
  if (secret.length < MIN_SECRET_BYTES) {
    throw refused(source, `its secret has ${secret.length} bytes; HS256 needs at least 32 random ones (RFC 7518 §3.2)`);
  }
  const weakness = weaknessOfSecret(secret);
  if (weakness !== null) throw refused(source, `its secret ${weakness}; make one with \`openssl rand -base64 32\``);
  return { key: createSecretKey(secret), signatureBytes: 32 };
}

function importPublicKey(source: VerificationKey): Pick<LoadedKey, 'key' | 'signatureBytes'> {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: { ...source.jwk }, format: 'jwk' });
  } catch (cause) {
    throw refused(source, 'it is not a valid public key', cause);
  }
  if (source.algorithm === 'ES256') return { key, signatureBytes: 64 };

  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < MIN_RSA_BITS) {
    throw refused(source, `its modulus has ${modulusLength} bits; RS256 needs at least 2048 (RFC 7518 §3.3)`);
  }
  if (publicExponent < 3n || publicExponent % 2n === 0n) {
    throw refused(source, `its public exponent is ${publicExponent}; use 65537`);
  }
  return { key, signatureBytes: Math.ceil(modulusLength / 8) };
}

function refused(key: VerificationKey, why: string, cause?: unknown): PortcullisError {
  return new PortcullisError('key_refused', `verification key "${key.kid}" refused: ${why}`, { cause });
}

import { constants, createPublicKey, createSecretKey, type KeyObject, type VerifyKeyObjectInput } from 'node:crypto';
import type { JwtAlgorithm, VerificationKey } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { KEY_SHAPES } from '../../policy/keys/algorithms.ts';
import { weaknessOfSecret } from '../../policy/keys/weak-secrets.ts';
import { decodeBase64Url } from './parse-compact-jws.ts';
import { isSmallOrderPoint } from './small-order-points.ts';

/** A verification key that passed every check of its kind. */
export interface LoadedKey {
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
  readonly check: SignatureCheck;
  /** Bytes of every signature by this key (RFC 7518 §3.2 to §3.5, RFC 8032 §5.1.6). */
  readonly signatureBytes: number;
  /** Two keys with the same text are the same key. Holds the secret of a symmetric key: never log it. */
  readonly identity: string;
}

/** How signatures by one key are checked: its algorithm, as node:crypto wants it. `hash` null: Ed25519, which has its own. */
export type SignatureCheck =
  | { readonly kind: 'Hmac'; readonly hash: string; readonly key: KeyObject }
  | { readonly kind: 'PublicKey'; readonly hash: string | null; readonly key: VerifyKeyObjectInput };

/** What an algorithm makes of a key. */
type Scheme =
  | { readonly kind: 'Hmac'; readonly hash: string; readonly signatureBytes: number }
  | {
      readonly kind: 'PublicKey';
      readonly hash: string | null;
      /** Undefined: as long as the modulus. */
      readonly signatureBytes?: number;
      readonly options?: Omit<VerifyKeyObjectInput, 'key'>;
    };

const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST } = constants;

// JWS carries r ‖ s (RFC 7518 §3.4), not the DER that OpenSSL expects.
const EC_OPTIONS = { dsaEncoding: 'ieee-p1363' } as const;

const SCHEMES: { readonly [A in JwtAlgorithm]: Scheme } = {
  HS256: { kind: 'Hmac', hash: 'sha256', signatureBytes: 32 },
  HS384: { kind: 'Hmac', hash: 'sha384', signatureBytes: 48 },
  HS512: { kind: 'Hmac', hash: 'sha512', signatureBytes: 64 },
  RS256: { kind: 'PublicKey', hash: 'sha256', options: { padding: RSA_PKCS1_PADDING } },
  PS256: {
    kind: 'PublicKey',
    hash: 'sha256',
    // Without the salt's length Node accepts any (RFC 7518 §3.5 wants the hash's).
    options: { padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_DIGEST },
  },
  ES256: { kind: 'PublicKey', hash: 'sha256', signatureBytes: 64, options: EC_OPTIONS },
  ES384: { kind: 'PublicKey', hash: 'sha384', signatureBytes: 96, options: EC_OPTIONS },
  EdDSA: { kind: 'PublicKey', hash: null, signatureBytes: 64 },
};

/** Members that no public JWK has (RFC 7518 §6, RFC 8037 §2). */
export const PRIVATE_MEMBERS: ReadonlySet<string> = new Set([
  ...Object.values(KEY_SHAPES).flatMap(({ privateMembers }) => privateMembers),
  'oth',
]);
const MIN_RSA_BITS = 2048;

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
  if (kid === '') throw refused(source, 'its kid is empty; use the RFC 7638 thumbprint');
  checkMembers(source);
  const scheme = SCHEMES[algorithm];
  return {
    kid,
    algorithm,
    ...(scheme.kind === 'Hmac' ? importSecret(source, scheme) : importPublicKey(source, scheme)),
    identity: JSON.stringify([algorithm, ...KEY_SHAPES[algorithm].members.map((member) => jwk[member])]),
  };
}

function checkMembers(source: VerificationKey): void {
  const { kid, algorithm, jwk } = source;
  const { kty, crv, members } = KEY_SHAPES[algorithm];
  const expected: Readonly<Record<string, string>> = { kty, alg: algorithm, use: 'sig', kid };
  for (const [member, value] of Object.entries(jwk)) {
    if (PRIVATE_MEMBERS.has(member)) {
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
      if (value !== crv) throw refused(source, `its curve is "${value}"; ${algorithm} needs "${crv}"`);
    } else if (decodeBase64Url(value) === undefined) {
      throw refused(source, `its member "${member}" is not base64url without padding (RFC 7515 §2)`);
    }
  }
}

function importSecret(
  source: VerificationKey,
  { kind, hash, signatureBytes }: Scheme & { readonly kind: 'Hmac' },
): Pick<LoadedKey, 'check' | 'signatureBytes'> {
  const { algorithm, jwk } = source;
  const { secretBytes = signatureBytes } = KEY_SHAPES[algorithm];
  const secret = Buffer.from(jwk['k'] ?? '', 'base64url');
  if (secret.length < secretBytes) {
    throw refused(
      source,
      `its secret has ${secret.length} bytes; ${algorithm} needs at least ${secretBytes} random ones (RFC 7518 §3.2)`,
    );
  }
  const weakness = weaknessOfSecret(secret);
  if (weakness !== null) {
    throw refused(source, `its secret ${weakness}; make one with \`openssl rand -base64 ${secretBytes}\``);
  }
  return { check: { kind, hash, key: createSecretKey(secret) }, signatureBytes };
}

function importPublicKey(
  source: VerificationKey,
  { kind, hash, signatureBytes, options }: Scheme & { readonly kind: 'PublicKey' },
): Pick<LoadedKey, 'check' | 'signatureBytes'> {
  const { algorithm, jwk } = source;
  let key: KeyObject;
  try {
    key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
  } catch (cause) {
    throw refused(source, 'it is not a valid public key', cause);
  }
  if (algorithm === 'EdDSA' && isSmallOrderPoint(Buffer.from(jwk['x'] ?? '', 'base64url'))) {
    throw refused(source, 'it is a point of small order, under which anyone can sign; use a generated key');
  }
  return {
    check: { kind, hash, key: { key, ...options } },
    signatureBytes: signatureBytes ?? modulusBytes(source, key),
  };
}

function modulusBytes(source: VerificationKey, key: KeyObject): number {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < MIN_RSA_BITS) {
    throw refused(
      source,
      `its modulus has ${modulusLength} bits; ${source.algorithm} needs at least 2048 (RFC 7518 §3.3, §3.5)`,
    );
  }
  if (publicExponent < 3n || publicExponent % 2n === 0n) {
    throw refused(source, `its public exponent is ${publicExponent}; use 65537`);
  }
  return Math.ceil(modulusLength / 8);
}

function refused(key: VerificationKey, why: string, cause?: unknown): PortcullisError {
  return new PortcullisError('key_refused', `verification key "${key.kid}" refused: ${why}`, { cause });
}

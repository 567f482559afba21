import { constants, createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { JwtAlgorithm, JwtAuthenticator, VerificationKey } from '../../../policy/bundle/types.ts';
import { KEY_SHAPES } from '../../../policy/keys/algorithms.ts';

/** For tests: a key that signs, and its verification half as a bundle carries it. */
export interface TestKey {
  readonly verification: VerificationKey;
  /** JWK with all members, for other signers. */
  readonly privateJwk: Readonly<Record<string, string>>;
  /** Signs any bytes by the key's algorithm, as JWS wants it; or by another one that takes keys of this type. */
  readonly sign: (input: Buffer, as?: JwtAlgorithm) => Buffer;
}

/** For tests: a fresh key pair or secret. `kid` defaults to a digest of the public members. */
export function makeTestKey(algorithm: JwtAlgorithm, kid?: string): TestKey {
  const { kty, crv = '', secretBytes } = KEY_SHAPES[algorithm];
  if (kty === 'oct') {
    const secret = createHash('sha512').update(`key ${kid}`).digest().subarray(0, secretBytes);
    const jwk = { kty, k: secret.toString('base64url') };
    return {
      verification: { kid: kid ?? 'hmac-1', algorithm, jwk },
      privateJwk: jwk,
      sign: (input, as = algorithm) =>
        createHmac(hashOf(as) ?? '', secret)
          .update(input)
          .digest(),
    };
  }
  const { privateKey, publicKey } = {
    RSA: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
    EC: () => generateKeyPairSync('ec', { namedCurve: crv }),
    OKP: () => generateKeyPairSync('ed25519'),
  }[kty]();
  return {
    verification: verificationKey(publicKey, algorithm, kid),
    privateJwk: privateKey.export({ format: 'jwk' }) as Record<string, string>,
    sign: (input, as = algorithm) => rawSign(input, privateKey, as),
  };
}

/** For tests: the bundle's form of a public key. */
export function verificationKey(publicKey: KeyObject, algorithm: JwtAlgorithm, kid?: string): VerificationKey {
  const jwk: Record<string, string> = {};
  for (const [member, value] of Object.entries(publicKey.export({ format: 'jwk' }))) jwk[member] = String(value);
  const digest = createHash('sha256').update(JSON.stringify(jwk)).digest('base64url');
  return { kid: kid ?? digest, algorithm, jwk };
}

function hashOf(algorithm: JwtAlgorithm): string | null {
  return algorithm === 'EdDSA' ? null : `sha${algorithm.slice(2)}`;
}

function rawSign(input: Buffer, key: KeyObject, algorithm: JwtAlgorithm): Buffer {
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  return sign(hashOf(algorithm), input, {
    key,
    dsaEncoding: 'ieee-p1363',
    ...(algorithm === 'PS256' ? padding : {}),
  });
}

/** For tests: one part of a token, from a JSON value or from exact text. */
export function encodePart(part: object | string): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
}

/** For tests: a compact JWS of exactly this header and payload, signed by `key`. */
export function mintToken(key: TestKey, claims: object | string, header?: object | string): string {
  const { kid, algorithm } = key.verification;
  const input = `${encodePart(header ?? { alg: algorithm, typ: 'JWT', kid })}.${encodePart(claims)}`;
  return `${input}.${key.sign(Buffer.from(input)).toString('base64url')}`;
}

/** For tests: claims that `testAuthenticator` accepts at `now` (epoch milliseconds), valid for five minutes. */
export function validClaims(now: number, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const iat = Math.floor(now / 1000);
  return { iss: 'https://issuer.example', aud: 'trading-api', sub: 'alice', iat, exp: iat + 300, ...more };
}

/** For tests: an authenticator of these keys, with what the test is about changed. */
export function testAuthenticator(keys: readonly TestKey[], more: Partial<JwtAuthenticator> = {}): JwtAuthenticator {
  return {
    name: 'trading',
    keySet: 'default/trading',
    keySetSerial: 1,
    issuer: 'https://issuer.example',
    audiences: ['trading-api'],
    clockSkewMs: 60_000,
    maxTokenLifetimeMs: 3_600_000,
    requiredClaims: ['sub'],
    from: [{ kind: 'header', header: 'authorization', scheme: 'Bearer' }],
    keys: keys.map((key) => key.verification),
    ...more,
  };
}

import { createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { JwtAlgorithm, JwtAuthenticator, VerificationKey } from '../../../policy/bundle/types.ts';

/** For tests: a key that signs, and its verification half as a bundle carries it. */
export interface TestKey {
  readonly verification: VerificationKey;
  /** Signs any bytes by the key's algorithm, as JWS wants it. */
  readonly sign: (input: Buffer) => Buffer;
}

/** For tests: a fresh key pair or secret. `kid` defaults to a digest of the public members. */
export function makeTestKey(algorithm: JwtAlgorithm, kid?: string): TestKey {
  if (algorithm === 'HS256') {
    const secret = createHash('sha256').update(`key ${kid}`).digest();
    return {
      verification: { kid: kid ?? 'hmac-1', algorithm, jwk: { kty: 'oct', k: secret.toString('base64url') } },
      sign: (input) => createHmac('sha256', secret).update(input).digest(),
    };
  }
  const pair =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    verification: verificationKey(pair.publicKey, algorithm, kid),
    sign: (input) => rawSign(input, pair.privateKey),
  };
}

/** For tests: the bundle's form of a public key. */
export function verificationKey(publicKey: KeyObject, algorithm: JwtAlgorithm, kid?: string): VerificationKey {
  const jwk: Record<string, string> = {};
  for (const [member, value] of Object.entries(publicKey.export({ format: 'jwk' }))) jwk[member] = String(value);
  const digest = createHash('sha256').update(JSON.stringify(jwk)).digest('base64url');
  return { kid: kid ?? digest, algorithm, jwk };
}

function rawSign(input: Buffer, privateKey: KeyObject): Buffer {
  return sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' });
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

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const TOKENS = 1_000;
/** Lifetime of every token, exp - iat. */
export const TOKEN_LIFETIME_SECONDS = 3_600;
/** The iss of every token. */
export const ISSUER = 'trading-issuer';
/** The aud of every token. */
export const AUDIENCE = 'trading-api';

/** Algorithms that are measured. */
export type BenchAlgorithm = 'RS256' | 'ES256';

/** Keys and tokens of one algorithm. */
export interface TokenSet {
  readonly algorithm: BenchAlgorithm;
  readonly kid: string;
  /** Public members only. */
  readonly jwk: Readonly<Record<string, string>>;
  /** PEM file of the public key, for HAProxy. */
  readonly publicKeyFile: string;
  /** JWKS file (RFC 7517 §5), for Envoy. */
  readonly jwksFile: string;
  /** Distinct tokens of role trader, one a line. */
  readonly file: string;
  readonly good: string;
  /** Signed well, but of a role that may not read orders. */
  readonly wrongRole: string;
  /** `good` with another signature. */
  readonly tampered: string;
}

/** Makes a key, signs `count` tokens (default 1000) and writes them into `directory`. `nowSeconds`: epoch seconds, their iat. */
export function mintTokens(algorithm: BenchAlgorithm, directory: string, nowSeconds: number, count = TOKENS): TokenSet {
  const { privateKey, publicKey } =
    algorithm === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = `bench-${algorithm.toLowerCase()}`;
  const mint = (subject: number, role: string) =>
    signToken(
      privateKey,
      { alg: algorithm, kid, typ: 'JWT' },
      {
        role,
        roles: [role],
        tenant_id: `t${subject % 10}`,
        jti: `j${subject}`,
        sub: `user${subject}`,
        iss: ISSUER,
        aud: AUDIENCE,
        iat: nowSeconds,
        exp: nowSeconds + TOKEN_LIFETIME_SECONDS,
      },
    );
  const tokens = Array.from({ length: count }, (_, subject) => mint(subject, 'trader'));
  const good = tokens[0] as string;
  const jwk = publicKey.export({ format: 'jwk' }) as Record<string, string>;
  const path = (suffix: string) => join(directory, `${algorithm.toLowerCase()}.${suffix}`);
  writeFileSync(path('tokens'), `${tokens.join('\n')}\n`);
  writeFileSync(path('pem'), publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(path('jwks.json'), JSON.stringify({ keys: [{ ...jwk, kid, alg: algorithm, use: 'sig' }] }));
  return {
    algorithm,
    kid,
    jwk,
    publicKeyFile: path('pem'),
    jwksFile: path('jwks.json'),
    file: path('tokens'),
    good,
    wrongRole: mint(TOKENS, 'viewer'),
    tampered: `${good.slice(0, -6)}AAAAAA`,
  };
}

/** A compact JWS (RFC 7515 §3.1). Here and not by jose, whose promises make a thousand signatures slow. */
function signToken(key: KeyObject, header: object, claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

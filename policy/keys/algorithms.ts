import { JWT_ALGORITHMS, type JwtAlgorithm } from '../bundle/types.ts';

/** What a key set may be for: the JWS algorithms, and Fernet. */
export const KEY_SET_ALGORITHMS = [...JWT_ALGORITHMS, 'Fernet'] as const;

/** One of `KEY_SET_ALGORITHMS`. */
export type KeySetAlgorithm = (typeof KEY_SET_ALGORITHMS)[number];

/** What a JWK of an algorithm consists of (RFC 7518 §6, RFC 8037 §2). */
export interface KeyShape {
  readonly kty: 'oct' | 'RSA' | 'EC' | 'OKP';
  /** The curve; undefined: the algorithm has none. */
  readonly crv?: 'P-256' | 'P-384' | 'Ed25519';
  /** The members that verify, `kty` apart; for secrets, the secret. */
  readonly members: readonly string[];
  /** The further members that sign; none: verifiers and signers share one secret. */
  readonly privateMembers: readonly string[];
  /** Bytes of a secret: as long as the hash (RFC 7518 §3.2). */
  readonly secretBytes?: number;
}

const RSA: KeyShape = { kty: 'RSA', members: ['n', 'e'], privateMembers: ['d', 'p', 'q', 'dp', 'dq', 'qi'] };

function secret(secretBytes: number): KeyShape {
  return { kty: 'oct', members: ['k'], privateMembers: [], secretBytes };
}

/** The one table of what keys are made of. */
export const KEY_SHAPES: { readonly [A in KeySetAlgorithm]: KeyShape } = {
  HS256: secret(32),
  HS384: secret(48),
  HS512: secret(64),
  RS256: RSA,
  PS256: RSA,
  ES256: { kty: 'EC', crv: 'P-256', members: ['crv', 'x', 'y'], privateMembers: ['d'] },
  ES384: { kty: 'EC', crv: 'P-384', members: ['crv', 'x', 'y'], privateMembers: ['d'] },
  EdDSA: { kty: 'OKP', crv: 'Ed25519', members: ['crv', 'x'], privateMembers: ['d'] },
  Fernet: secret(32),
};

/** Whether those who check and those who make share one secret: HS* and Fernet. */
export function isSymmetric(algorithm: KeySetAlgorithm): boolean {
  return KEY_SHAPES[algorithm].kty === 'oct';
}

/** Whether keys of an algorithm sign tokens; Fernet's encrypt. */
export function isJwt(algorithm: KeySetAlgorithm): algorithm is JwtAlgorithm {
  return algorithm !== 'Fernet';
}

import type { VerificationKey } from '../bundle/types.ts';
import { isSymmetric, KEY_SHAPES } from '../keys/algorithms.ts';
import type { PublicJwk } from '../keys/outputs.ts';

/** A JWK Set of public keys (RFC 7517 §5). */
export interface PublicJwkSet {
  readonly keys: readonly PublicJwk[];
}

/**
 * The public keys among these as a JWK Set: of each only the members that RFC 7518 §6 and RFC 8037 §2 name for verifying,
 * whatever else it holds. Null: there is none, or all are secrets.
 */
export function publicJwkSet(keys: readonly VerificationKey[]): PublicJwkSet | null {
  const publicKeys = keys.flatMap(({ kid, algorithm, jwk }): PublicJwk[] => {
    if (isSymmetric(algorithm)) return [];
    const { kty, members } = KEY_SHAPES[algorithm];
    const verifying = Object.entries(jwk).filter(([member]) => members.includes(member));
    return [{ kty, ...Object.fromEntries(verifying), kid, alg: algorithm, use: 'sig' }];
  });
  return publicKeys.length === 0 ? null : { keys: publicKeys };
}

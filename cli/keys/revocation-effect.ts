import type { SigningKeySetStatus } from '../../operator/resources.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { isJwt, isSymmetric } from '../../policy/keys/algorithms.ts';
import { nextKeyOf } from './rotation-forecast.ts';

/** What follows when a key is revoked. */
export interface RevocationEffect {
  /** Null: the key set has no such key. */
  readonly state: 'Active' | 'Standby' | 'Retired' | null;
  /** What signs in its place: a key that verifiers have, or one that they have yet to learn of; null: it did not sign. */
  readonly successor: 'Standby' | 'NewKey' | null;
  /** For people. */
  readonly lines: readonly string[];
}

/** What follows when `kid` is revoked at `now` (epoch milliseconds), as far as the status tells. Pure. */
export function revocationEffect(
  keySet: SigningKeySet,
  status: SigningKeySetStatus,
  kid: string,
  now: number,
): RevocationEffect {
  const { algorithm, propagation, jwksMaxAge } = keySet.spec;
  const state = status.keys?.find((key) => key.kid === kid)?.state ?? null;
  if (state === null) {
    return { state, successor: null, lines: ['the key set has no such key now; should it come back, it is refused'] };
  }
  if (state === 'Standby') {
    return { state, successor: null, lines: ['it has never been used; another one is made'] };
  }
  const outside = isSymmetric(algorithm) ? '' : `, and verifiers outside within ${jwksMaxAge} (jwksMaxAge)`;
  const ends = isJwt(algorithm)
    ? `every token that it signed is refused: pods do so within ${propagation} (propagation)${outside}`
    : 'what was encrypted with it CANNOT BE READ ANY MORE: re-encrypt that first, with portcullis fernet rotate';
  if (state === 'Retired') return { state, successor: null, lines: [ends] };
  const verb = isJwt(algorithm) ? 'signs' : 'encrypts';
  const next = nextKeyOf(keySet, status);
  if (next !== null && next.maturesAt <= now) {
    const line = `it ${verb} now: key ${next.kid}, which is published already, ${verb} in its place at once`;
    return { state, successor: 'Standby', lines: [line, ends] };
  }
  const meanwhile = isJwt(algorithm) ? 'its tokens are refused' : 'what it encrypts cannot be read';
  const line = `it ${verb} now: a new key ${verb} in its place at once; ${meanwhile} until pods have it, within ${propagation} (propagation)${outside}`;
  return { state, successor: 'NewKey', lines: [line, ends] };
}

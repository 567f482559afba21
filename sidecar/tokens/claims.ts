import type { JwtAuthenticator } from '../../policy/bundle/types.ts';
import type { JsonObject } from './strict-json.ts';
import type { TokenRefusal } from './token-verifier.ts';

/** When a token whose claims passed is valid, in epoch milliseconds, clock skew included. */
export interface ValidityWindow {
  /** Refused from this instant on. */
  readonly refuseAfter: number;
  /** Refused before this instant. */
  readonly refuseBefore: number;
}

/**
 * Checks a claims set (RFC 7519 §4.1, RFC 8725 §3) against what one authenticator expects: one of its audiences, `exp`
 * and `iat` present, every time a finite number, a lifetime of at most T, and the required claims. `iat` may not lie in
 * the future: T would bound nothing if it could. `iss` has chosen the authenticator (`findIssuerKey`) and is not looked
 * at again. `now` in epoch milliseconds; never throws.
 */
export function checkClaims(
  claims: JsonObject,
  authenticator: JwtAuthenticator,
  now: number,
): ValidityWindow | TokenRefusal {
  const audience = checkAudience(claims['aud'], authenticator.audiences);
  if (audience !== null) return audience;

  const { exp, iat, nbf = iat } = claims;
  if (exp === undefined || iat === undefined) return 'missing_claim';
  if (!isInstant(exp) || !isInstant(iat) || !isInstant(nbf)) return 'malformed';
  if ((exp - iat) * 1000 > authenticator.maxTokenLifetimeMs) return 'lifetime';
  const refuseAfter = exp * 1000 + authenticator.clockSkewMs;
  const refuseBefore = Math.max(0, Math.max(nbf, iat) * 1000 - authenticator.clockSkewMs);
  if (now >= refuseAfter) return 'expired';
  if (now < refuseBefore) return 'not_yet_valid';

  for (const name of authenticator.requiredClaims) {
    if (!Object.hasOwn(claims, name) || isEmpty(claims[name])) return 'missing_claim';
  }
  return { refuseAfter, refuseBefore };
}

/** `aud` is one string or a list of strings (RFC 7519 §4.1.3). */
function checkAudience(aud: unknown, accepted: readonly string[]): TokenRefusal | null {
  if (aud === undefined) return 'audience';
  if (typeof aud === 'string') return accepted.includes(aud) ? null : 'audience';
  if (!Array.isArray(aud) || !aud.every((entry) => typeof entry === 'string')) return 'malformed';
  return aud.some((entry) => accepted.includes(entry)) ? null : 'audience';
}

/** NumericDate (RFC 7519 §2): seconds since the epoch, fractions allowed; JSON's 1e999 reads as Infinity. */
function isInstant(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

/** A required claim says something: not null, not "", not []. */
function isEmpty(value: unknown): boolean {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0);
}

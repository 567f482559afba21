import type { JwtAuthenticator } from '../../policy/bundle/types.ts';
import { checkClaims } from './claims.ts';
import { bindKeysToIssuers, findIssuerKey, type IssuerKey, type IssuerKeys, judgesAlike } from './issuer-keys.ts';
import { parseCompactJws } from './parse-compact-jws.ts';
import { createSignatureVerifier, type SignatureVerifier } from './signature.ts';
import { TokenCache } from './token-cache.ts';
import type { TokenRefusal, TokenVerdict, TokenVerifier, VerifiedToken } from './token-verifier.ts';

/** Bounds of a token verifier; each has a default. */
export interface TokenVerifierOptions {
  /** Verified tokens remembered. Default 10,000. */
  readonly maxCachedTokens?: number;
  /** Heap bytes that remembered tokens may take, estimated. Default 16 MiB. */
  readonly maxCachedBytes?: number;
  /** Verifications by public keys at a time. Default 3: of libuv's four threads one stays free for DNS and files. */
  readonly maxConcurrentVerifications?: number;
}

/** A token verifier and what is worth knowing about its cache. */
export interface CachingTokenVerifier extends TokenVerifier {
  /** Verified tokens remembered now. */
  readonly cachedTokens: number;
  /** Estimated heap bytes of them. */
  readonly cachedBytes: number;
}

/**
 * Creates the verifier for a bundle's authenticators. Throws `key_refused` for keys that may not verify anything.
 * `previous`, the verifier of the bundle before, hands over each cached token that every check of the new bundle would
 * judge alike; those of a removed or changed key are not taken.
 */
export function createTokenVerifier(
  authenticators: readonly JwtAuthenticator[],
  options: TokenVerifierOptions = {},
  previous?: TokenVerifier,
): CachingTokenVerifier {
  const verifier = new JwtVerifier(authenticators, options);
  if (previous instanceof JwtVerifier) verifier.takeOver(previous);
  return verifier;
}

class JwtVerifier implements CachingTokenVerifier {
  readonly #keys: IssuerKeys;
  readonly #cache: TokenCache;
  readonly #signatures: SignatureVerifier;
  /** Verifications under way: requests that bring the same new token wait for one. */
  readonly #inFlight = new Map<string, Promise<TokenVerdict>>();

  constructor(authenticators: readonly JwtAuthenticator[], options: TokenVerifierOptions) {
    this.#keys = bindKeysToIssuers(authenticators);
    this.#cache = new TokenCache({
      maxEntries: options.maxCachedTokens ?? 10_000,
      maxBytes: options.maxCachedBytes ?? 16 * 1024 * 1024,
    });
    this.#signatures = createSignatureVerifier({
      maxConcurrent: options.maxConcurrentVerifications ?? 3,
      maxWaiting: 1_000,
    });
  }

  get cachedTokens(): number {
    return this.#cache.size;
  }

  get cachedBytes(): number {
    return this.#cache.bytes;
  }

  verify(token: string, now: number): TokenVerdict | Promise<TokenVerdict> {
    const cached = this.#cache.get(token);
    if (cached === undefined) return this.#inFlight.get(token) ?? this.#verifyNew(token, now);
    if (now >= cached.refuseAfter) {
      this.#cache.delete(token);
      return 'expired';
    }
    return now < cached.refuseBefore ? 'not_yet_valid' : cached;
  }

  takeOver(previous: JwtVerifier): void {
    const alike = new Map<IssuerKey, boolean>();
    // Copies: requests still under the old bundle must not see an identity that the new one derived, nor the reverse.
    this.#cache.copyFrom(previous.#cache, ({ kid, claims }) => {
      const before = findIssuerKey(previous.#keys, kid, claims['iss']);
      if (typeof before === 'string') return false;
      const known = alike.get(before) ?? this.#judgesLike(before);
      alike.set(before, known);
      return known;
    });
  }

  #judgesLike(before: IssuerKey): boolean {
    const now = findIssuerKey(this.#keys, before.key.kid, before.issuer);
    return typeof now !== 'string' && judgesAlike(before, now);
  }

  /**
   * Claims before the signature: a client that repeats an expired token, or an attacker with a token of another
   * audience, then costs no public-key operation. Refused tokens are not remembered: whoever sends them chooses how
   * many there are, and pays for them by the anonymous limit of the address.
   */
  #verifyNew(token: string, now: number): TokenVerdict | Promise<TokenVerdict> {
    const jws = parseCompactJws(token);
    if (typeof jws === 'string') return jws;
    const issuerKey = findIssuerKey(this.#keys, jws.kid, jws.claims['iss']);
    if (typeof issuerKey === 'string') return issuerKey;
    if (jws.algorithm !== issuerKey.key.algorithm) return 'algorithm';
    const accepted = acceptClaims(issuerKey, jws.claims, now);
    if (typeof accepted === 'string') return accepted;

    const valid = this.#signatures.verify(issuerKey.key, jws.signingInput, jws.signature);
    if (typeof valid === 'boolean') return this.#conclude(token, accepted, valid);
    const verdict = valid.then((outcome) => {
      this.#inFlight.delete(token);
      return this.#conclude(token, accepted, outcome);
    });
    this.#inFlight.set(token, verdict);
    return verdict;
  }

  #conclude(token: string, accepted: VerifiedToken, valid: boolean): TokenVerdict {
    if (!valid) return 'signature';
    // A copy: a token cut out of a header can be a view that keeps the whole header alive. Verified tokens are ASCII.
    this.#cache.set(Buffer.from(token, 'latin1').toString('latin1'), accepted);
    return accepted;
  }
}

/** What the token will be once its signature holds, by the first authenticator whose checks pass; else the first's refusal. */
function acceptClaims(
  issuerKey: IssuerKey,
  claims: VerifiedToken['claims'],
  now: number,
): VerifiedToken | TokenRefusal {
  let refusal: TokenRefusal | null = null;
  for (const authenticator of issuerKey.authenticators) {
    const window = checkClaims(claims, authenticator, now);
    if (typeof window !== 'string') {
      return { claims, authenticator: authenticator.name, kid: issuerKey.key.kid, ...window, identity: null };
    }
    refusal ??= window;
  }
  return refusal ?? 'issuer';
}

import type { JwksConfig, JwtAuthenticator } from '../../policy/bundle/types.ts';
import type { ExternalJwks } from './external-jwks.ts';
import { parseCompactJws } from './parse-compact-jws.ts';
import type { TokenRefusal, TokenVerdict, TokenVerifier } from './token-verifier.ts';
import { createTokenVerifier } from './verifier.ts';

/**
 * Creates the verifier for a bundle's authenticators, those with a JWKS outside included, whose fetching is `external`'s. Throws
 * and takes over from `previous` as `createTokenVerifier`.
 */
export function createExternalVerifier(
  authenticators: readonly JwtAuthenticator[],
  external: ExternalJwks,
  previous?: TokenVerifier,
): TokenVerifier {
  const before = previous instanceof ExternalVerifier ? previous.current : previous;
  if (authenticators.every(({ jwks }) => jwks === undefined)) return createTokenVerifier(authenticators, {}, before);
  return new ExternalVerifier(authenticators, external, before);
}

/** Verifies by the keys that there are now; a token whose issuer may have newer ones waits for them once. */
class ExternalVerifier implements TokenVerifier {
  readonly #authenticators: readonly JwtAuthenticator[];
  readonly #external: ExternalJwks;
  #version: number;
  #current: TokenVerifier;

  constructor(authenticators: readonly JwtAuthenticator[], external: ExternalJwks, before: TokenVerifier | undefined) {
    this.#authenticators = authenticators;
    this.#external = external;
    this.#version = external.version;
    this.#current = this.#create(before);
  }

  /** By the keys that were fetched last. Cached tokens whose key is still there stay, those of a removed one do not. */
  get current(): TokenVerifier {
    if (this.#version !== this.#external.version) {
      this.#version = this.#external.version;
      this.#current = this.#create(this.#current);
    }
    return this.#current;
  }

  verify(token: string, now: number): TokenVerdict | Promise<TokenVerdict> {
    const verdict = this.current.verify(token, now);
    return verdict === 'unknown_key' || verdict === 'issuer' ? this.#askIssuer(token, now, verdict) : verdict;
  }

  #create(before: TokenVerifier | undefined): TokenVerifier {
    const withKeys = this.#authenticators.map((authenticator) =>
      authenticator.jwks === undefined
        ? authenticator
        : { ...authenticator, keys: this.#external.keysOf(authenticator.jwks) ?? [] },
    );
    return createTokenVerifier(withKeys, {}, before);
  }

  #askIssuer(token: string, now: number, refusal: TokenRefusal): TokenVerdict | Promise<TokenVerdict> {
    const jws = parseCompactJws(token);
    if (typeof jws === 'string') return jws;
    const claimed = this.#authenticators.flatMap(({ issuer, jwks }) =>
      jws.claims['iss'] === issuer && jwks !== undefined ? jwks : [],
    );
    const underWay = claimed.flatMap((jwks) => this.#external.refetch(jwks) ?? []);
    if (underWay.length === 0) return this.#refusal(claimed, refusal);
    return Promise.all(underWay).then(() => {
      const verdict = this.current.verify(token, now);
      return verdict === 'unknown_key' || verdict === 'issuer' ? this.#refusal(claimed, verdict) : verdict;
    });
  }

  /** Without any key of the issuer nothing is known of the token's. */
  #refusal(claimed: readonly JwksConfig[], refusal: TokenRefusal): TokenRefusal {
    const isMissing = claimed.length > 0 && claimed.every((jwks) => this.#external.keysOf(jwks) === null);
    return isMissing ? 'jwks_unavailable' : refusal;
  }
}

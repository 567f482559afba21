/** Why a token was refused: a closed list, the `reason` label of portcullis_jwt_validation_failures_total. */
export type TokenRefusal =
  | 'malformed'
  | 'too_large'
  | 'unsupported'
  | 'unknown_key'
  | 'jwks_unavailable'
  | 'algorithm'
  | 'signature'
  | 'issuer'
  | 'audience'
  | 'expired'
  | 'not_yet_valid'
  | 'lifetime'
  | 'missing_claim'
  | 'revoked';

/** A token whose signature and claims were checked. Shared between requests: nothing may change `claims`. */
export interface VerifiedToken {
  readonly claims: Readonly<Record<string, unknown>>;
  /** Name of the authenticator that accepted it. */
  readonly authenticator: string;
  readonly kid: string;
  /** Epoch milliseconds after which it is refused: exp + clock skew. */
  readonly refuseAfter: number;
  /** Epoch milliseconds before which it is refused: nbf - clock skew, or 0. */
  readonly refuseBefore: number;
  /** What the authenticate filter derived from the claims, kept so that it is derived once a token. */
  identity: object | null;
}

/** A verified token, or the reason for its refusal. */
export type TokenVerdict = VerifiedToken | TokenRefusal;

/** Verifies compact JWS tokens (RFC 7515, RFC 7519, RFC 8725). Never throws, never rejects. */
export interface TokenVerifier {
  /** `now`: epoch milliseconds. A promise only for a token not seen before that a public key verifies. */
  verify(token: string, now: number): TokenVerdict | Promise<TokenVerdict>;
}

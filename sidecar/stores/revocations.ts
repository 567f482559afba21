/** `unknown`: nothing says that the token is revoked, but what this process knows is incomplete or too old. */
export type RevocationVerdict = 'ok' | 'revoked' | 'unknown';

/**
 * Revoked tokens of one issuer, by `jti` and by `sub` with a not-before (RFC 7009 leaves the means open). Revoking counts at once in this
 * process, even when the shared store does not take it: then it is written as soon as the store answers again. Never rejects.
 */
export interface RevocationStore {
  /** `untilMs`: epoch milliseconds from which no verifier accepts the token, `exp` and clock skew. False: not stored yet. */
  revokeToken(jti: string, untilMs: number, now: number): Promise<boolean>;
  /** Revokes every token of `sub` with `iat` before `notBeforeMs`; `untilMs`: when the last of them has ended. False: not stored yet. */
  revokeSubject(sub: string, notBeforeMs: number, untilMs: number, now: number): Promise<boolean>;
  /** Looks only at what this process holds. Null: the token has no such claim. `iatMs`: `iat` in milliseconds. */
  check(jti: string | null, sub: string | null, iatMs: number): RevocationVerdict;
  /** For whoever met `unknown` and can wait: resolves when the shared store was asked again, or does not answer. */
  refresh(): Promise<void>;
  close(): void;
}

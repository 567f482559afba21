import type { Identity } from '../../policy/evaluate/access-evaluator.ts';
import type { ApplicationAnswer } from '../engine/application-client.ts';
import type { UpstreamFailure } from '../engine/rescue.ts';
import type { AMBIGUOUS } from '../filters/credentials.ts';
import type { Denial } from '../pipeline/filter.ts';
import type { RefreshTokenStore } from '../stores/refresh-tokens.ts';
import type { RevocationStore } from '../stores/revocations.ts';
import type { PasswordRule } from './password-rules.ts';

/** A request to a token endpoint, with its whole body. */
export interface TokenRequest {
  readonly body: Buffer;
  readonly contentType: string | undefined;
  readonly clientAddress: string;
  /** Of the access token that came along, already verified; null when there was none or it was not accepted. */
  readonly identity: Pick<Identity, 'claims'> | null;
  cookie(name: string): string | undefined | typeof AMBIGUOUS;
  /** Whether the Origin is this host or one that the policy trusts, as filters/csrf.ts decides it. */
  originTrusted(): boolean;
  /** Asked before a password is looked at; a denial answers instead. */
  guard(name: string): Promise<Denial | undefined>;
  /** POSTs JSON to the application that the request would go to. Never rejects. */
  upstream(path: string, json: string): Promise<ApplicationAnswer | UpstreamFailure>;
  onEvent(event: TokenEvent): void;
}

/** A complete answer; header names are lower case, flat: name, value, name, value. */
export interface TokenAnswer {
  readonly status: number;
  readonly headers: readonly string[];
  /** ASCII. */
  readonly body: string;
}

/** Why a token endpoint refuses; a closed list, each with a line in engine/rescue.ts. */
export type TokenDenialCode =
  | 'body_invalid'
  | 'body_too_large'
  | 'unsupported_media_type'
  | 'credentials_invalid'
  | 'credentials_unavailable'
  | 'origin_mismatch'
  | 'overloaded'
  | 'refresh_token_invalid'
  | 'signing_key_missing'
  | 'store_unavailable';

/** A member of the body that is not as it must be. Never holds what was sent. */
export interface Violation {
  /** JSON pointer (RFC 6901) into the body. */
  readonly pointer: string;
  readonly code: PasswordRule | 'malformed' | 'missing' | 'unknown_member';
  readonly message: string;
}

/** A refusal as a value. */
export interface TokenDenial {
  readonly denial: TokenDenialCode | UpstreamFailure;
  readonly violations?: readonly Violation[];
}

/** What a token endpoint says; a `Denial` is the guard's, passed on. */
export type TokenResult = TokenAnswer | TokenDenial | Denial;

/** Answers one token endpoint. Rejects only on a fault. */
export type Handler = (request: TokenRequest) => Promise<TokenResult>;

/** What is worth a metric or an audit record. `user` is as the client wrote it or as its token family says. */
export type TokenEvent =
  | { readonly kind: 'LoggedIn'; readonly user: string; readonly clientAddress: string }
  | {
      readonly kind: 'LoginFailed';
      readonly user: string;
      readonly clientAddress: string;
      readonly reason: 'unknown_user' | 'wrong_password' | 'inactive' | 'refused_upstream';
    }
  | { readonly kind: 'Refreshed'; readonly user: string; readonly clientAddress: string }
  /** A refresh token came back after it had been replaced: it was stolen, or its successor was. The family is revoked. */
  | { readonly kind: 'RefreshTokenReused'; readonly user: string; readonly clientAddress: string }
  | { readonly kind: 'LoggedOut'; readonly clientAddress: string };

/** Compares passwords; `overloaded` when too many wait already. */
export interface PasswordVerifier {
  /** True when the password is the one of `hashes[0]`. All of `hashes` are computed, so that each call costs the same. */
  verify(password: string, hashes: readonly string[]): Promise<boolean | 'overloaded'>;
  close(): Promise<void>;
}

/** A signed access token. */
export interface SignedToken {
  readonly token: string;
  /** Seconds from `now`. */
  readonly expiresIn: number;
}

/** Signs access tokens by the key that is active at that moment. */
export interface TokenSigner {
  /** `iat` is `now`; `exp` at most `lifetimeMs` later, less where the key has promised less. Null: there is no key yet. */
  sign(claims: Readonly<Record<string, unknown>>, lifetimeMs: number, now: number): Promise<SignedToken | null>;
}

/** What the token service works with. */
export interface TokenServicePorts {
  readonly signer: TokenSigner;
  readonly passwords: PasswordVerifier;
  readonly refreshTokens: RefreshTokenStore;
  readonly revocations: RevocationStore;
  /** Reads claims by the policy's pointers: the evaluator's. */
  readonly identify: (
    claims: Readonly<Record<string, unknown>>,
  ) => Pick<Identity, 'user' | 'roles' | 'tenant' | 'tierClaim'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly randomBytes: (size: number) => Buffer;
}

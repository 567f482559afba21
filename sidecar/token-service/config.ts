import type { IdentityPointers } from '../../policy/bundle/types.ts';

/** What characters a new password must have: a letter `Upper` or `Lower` (Unicode Lu, Ll), a `Digit` (Nd), one that is neither. */
export type PasswordClass = 'Upper' | 'Lower' | 'Digit' | 'Special';

/** What a new password must be like. */
export interface PasswordRules {
  /** In Unicode code points. */
  readonly minLength: number;
  readonly classes: readonly PasswordClass[];
}

/** Users that we know ourselves, as `parseHtpasswd` and `parseUserClaims` read them. */
export interface HtpasswdCredentials {
  readonly kind: 'Htpasswd';
  /** bcrypt hash ($2a$, $2b$, $2y$) by user name. */
  readonly users: Readonly<Record<string, string>>;
  /** Claims by user name; `active: false` refuses the user and is no claim of the token. */
  readonly claims: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Users that the application knows: it gets the credentials and answers 2xx with JSON that holds the identity, or 4xx. */
export interface UpstreamCredentials {
  readonly kind: 'Upstream';
  readonly path: string;
}

/** How issued tokens reach the client: in JSON, or in cookies that scripts cannot read. */
export type Delivery = 'Body' | 'Cookie';

/** The token endpoints of one AccessPolicy, every default filled in, durations in milliseconds. */
export interface TokenServiceConfig {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly accessLifetimeMs: number;
  /** From login on: rotation does not prolong it. */
  readonly refreshLifetimeMs: number;
  /** For so long a refresh token that was replaced still leads to its successor. */
  readonly refreshGraceMs: number;
  /** S: for so long after `exp` a verifier may accept a token. */
  readonly clockSkewMs: number;
  readonly login: { readonly path: string; readonly credentials: HtpasswdCredentials | UpstreamCredentials } | null;
  readonly register: { readonly path: string; readonly upstream: string; readonly password: PasswordRules } | null;
  /** Null: no refresh tokens are issued. */
  readonly refresh: { readonly path: string } | null;
  readonly logout: { readonly path: string } | null;
  readonly delivery: Delivery;
  /** Where the identity stands in what the application answers, and, the first of each, in the tokens we sign. */
  readonly identity: IdentityPointers;
}

/**
 * What bundles say of tokens that pods issue: the access bundle what everybody may know, the issuer bundle, which only pods that
 * issue tokens mount, the key that signs and the users' hashes.
 */

import type { IssuingKey } from '../keys/outputs.ts';
import type { Check } from './check.ts';
import { count, list, name, nullable, object, oneOf, record, refuse, someOf, text } from './check.ts';
import { JWT_ALGORITHMS } from './types.ts';

/** What characters a new password must have: a letter `Upper` or `Lower` (Unicode Lu, Ll), a `Digit` (Nd), one that is neither. */
export const PASSWORD_CLASSES = ['Upper', 'Lower', 'Digit', 'Special'] as const;

/** One of `PASSWORD_CLASSES`. */
export type PasswordClass = (typeof PASSWORD_CLASSES)[number];

/** What a new password must be like. */
export interface PasswordRules {
  /** In Unicode code points. */
  readonly minLength: number;
  readonly classes: readonly PasswordClass[];
}

/** How issued tokens reach the client: in JSON, or in cookies that scripts cannot read. */
export const DELIVERIES = ['Body', 'Cookie'] as const;

/** One of `DELIVERIES`. */
export type Delivery = (typeof DELIVERIES)[number];

/** The token endpoints of a policy, every default filled in, durations in milliseconds. */
export interface TokenEndpoints {
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Keys by which this policy's key set verifies: no other may sign, so that what is issued is accepted. */
  readonly kids: readonly string[];
  readonly accessLifetimeMs: number;
  /** From login on: rotation does not prolong it. */
  readonly refreshLifetimeMs: number;
  /** For so long a refresh token that was replaced still leads to its successor. */
  readonly refreshGraceMs: number;
  /** S: for so long after `exp` a verifier may accept a token. */
  readonly clockSkewMs: number;
  /** `upstream`: where the application is asked; null: the issuer bundle knows the users. */
  readonly login: { readonly path: string; readonly upstream: string | null };
  readonly register: { readonly path: string; readonly upstream: string; readonly password: PasswordRules } | null;
  /** Null: no refresh tokens are issued. */
  readonly refresh: { readonly path: string } | null;
  readonly logout: { readonly path: string } | null;
  readonly delivery: Delivery;
}

/** Users of a Secret, as `parseHtpasswd` reads them. */
export interface HtpasswdUsers {
  /** bcrypt hash ($2a$, $2b$, $2y$) by user name. */
  readonly hashes: Readonly<Record<string, string>>;
  /** Claims by user name; `active: false` refuses the user and is no claim of the token. */
  readonly claims: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** What only pods that issue tokens get. Secret in whole. */
export interface IssuerBundle {
  readonly kind: 'Issuer';
  /** Of the AccessPolicy. */
  readonly namespace: string;
  readonly name: string;
  readonly serial: number;
  /** `namespace/name` of the SigningKeySet. */
  readonly keySet: string;
  /** Serial of the key set's outputs that the key was taken from. */
  readonly keySetSerial: number;
  /** Null: the key set has none that may sign now. */
  readonly signingKey: IssuingKey | null;
  /** Null: the application knows the users. */
  readonly users: HtpasswdUsers | null;
}

const endpoint = { path: name };

/** Checks the token endpoints of an access bundle, member for member. */
export const tokenEndpoints: Check<TokenEndpoints> = object<TokenEndpoints>({
  issuer: name,
  audiences: someOf(name),
  kids: list(name),
  accessLifetimeMs: count(1_000),
  refreshLifetimeMs: count(1_000),
  refreshGraceMs: count(0),
  clockSkewMs: count(0),
  login: object<TokenEndpoints['login']>({ ...endpoint, upstream: nullable(name) }),
  register: nullable(
    object<NonNullable<TokenEndpoints['register']>>({
      ...endpoint,
      upstream: name,
      password: object<PasswordRules>({ minLength: count(1), classes: list(oneOf(...PASSWORD_CLASSES)) }),
    }),
  ),
  refresh: nullable(object<NonNullable<TokenEndpoints['refresh']>>(endpoint)),
  logout: nullable(object<NonNullable<TokenEndpoints['logout']>>(endpoint)),
  delivery: oneOf(...DELIVERIES),
});

/** Any object: what is in it is signed as it is. */
const anyObject: Check<Readonly<Record<string, unknown>>> = (value, place) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(place, 'an object');
  return value as Readonly<Record<string, unknown>>;
};

/** Checks that a decoded document is an issuer bundle, member for member. */
export const issuerBundle: Check<IssuerBundle> = object<IssuerBundle>({
  kind: oneOf('Issuer'),
  namespace: name,
  name,
  serial: count(1),
  keySet: name,
  keySetSerial: count(1),
  signingKey: nullable(
    object<IssuingKey>({
      kid: name,
      algorithm: oneOf(...JWT_ALGORITHMS),
      privateJwk: record(text),
      maxTokenLifetimeMs: count(1_000),
    }),
  ),
  users: nullable(object<HtpasswdUsers>({ hashes: record(name), claims: record(anyObject) })),
});

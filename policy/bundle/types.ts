/**
 * The document the operator writes and the sidecar reads: policies with every reference resolved, every default
 * filled in and every duration in milliseconds. Nothing here is optional that has a default; what the policies of one
 * sidecar share (`ConnectionSettings`) keeps apart what was said and the default, so that it can be resolved for both.
 */

import type { BodyConfig } from '../evaluate/body/body-config.ts';
import type { ScheduleConfig } from '../evaluate/schedule.ts';
import type { PublicJwkSet } from '../jwks/public-jwk-set.ts';
import type { ApiKeyAuthenticator, RevocationConfig, SignedRequestAuthenticator } from './authentication.ts';
import type { CircuitBreakerConfig } from './circuit-breaker.ts';
import type { ConnectionsConfig } from './connections.ts';
import type { EgressConfig } from './egress.ts';
import type { PenaltiesConfig, ThreatsConfig } from './threats.ts';
import type { IssuerBundle, TokenEndpoints } from './tokens.ts';

/** Whether a policy's decisions are carried out or only counted and logged. */
export type Mode = 'Enforce' | 'Shadow';

/** JWS algorithms (RFC 7518 §3.1, RFC 8037 §3.1) that a key set may use. */
export const JWT_ALGORITHMS = ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] as const;

/** One of `JWT_ALGORITHMS`. */
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number];

/** What a limit does while its store does not answer. */
export type OnStoreFailure = 'LocalShare' | 'Allow' | 'Deny';

/** How a limit counts; the bound that each keeps is in docs/limits.md. */
export type LimitAlgorithm = 'SlidingWindow' | 'TokenBucket' | 'FixedWindow';

/** Where counters shared by all pods live. */
export interface StoreConfig {
  /** As `parseRedisUrl` takes it, credentials included. */
  readonly redisUrl: string;
  /** PEM: the only authorities that may vouch for a server; absent: the public ones. */
  readonly ca?: string;
}

/** How the client's address is found behind proxies. */
export interface ClientIpConfig {
  /** Number of proxies before us that append to X-Forwarded-For; 0 takes the socket's address. */
  readonly trustedHops: number;
  /** CIDRs whose sockets may speak through X-Forwarded-For at all; empty with trustedHops > 0: any peer. */
  readonly trustedProxies: readonly string[];
}

/** What both policies of a sidecar may say, for both; `resolveConnection` says what holds. */
export interface ConnectionSettings {
  /** Null: the policy names none. */
  readonly store: StoreConfig | null;
  /** Null: the policy does not say. */
  readonly clientIp: ClientIpConfig | null;
  /** The operator's, for what no policy says. */
  readonly defaults: {
    /** Null: in the memory of each process. */
    readonly store: StoreConfig | null;
    readonly clientIp: ClientIpConfig;
  };
}

/** One public (or, for HS*, secret) key that verifies tokens. */
export interface VerificationKey {
  /** RFC 7638 thumbprint for asymmetric keys, random for symmetric ones; matched exactly. */
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
  /** The JWK members of RFC 7518 §6: kty with n, e | crv, x, y | k. Never a private member. */
  readonly jwk: Readonly<Record<string, string>>;
}

/** Where a credential may stand in a request. Header names are lower case. */
export type CredentialSource =
  | { readonly kind: 'header'; readonly header: string; readonly scheme: string }
  | { readonly kind: 'cookie'; readonly cookie: string }
  /** Of WebSocket handshakes alone; it is not forwarded. */
  | { readonly kind: 'query'; readonly parameter: string };

/** Where the sidecar fetches the keys of an issuer outside (RFC 7517 §5). */
export interface JwksConfig {
  /** An https URL. */
  readonly uri: string;
  /** PEM: the only authorities that may vouch for the server; null: the public ones. */
  readonly ca: string | null;
  /** What its keys may be used for, and what a key without `alg` is for where one of these fits. Never HS*. */
  readonly algorithms: readonly JwtAlgorithm[];
  readonly refreshMs: number;
  /** Whether keys older than twice `refreshMs` are still used. */
  readonly onFailure: 'LastGood' | 'Deny';
  readonly allowPrivateAddresses: boolean;
}

/** One issuer whose tokens are accepted, with its keys or where they are fetched. */
export interface JwtAuthenticator {
  readonly name: string;
  /** `namespace/name` of the SigningKeySet; null: the keys are those of `jwks`. */
  readonly keySet: string | null;
  /** Serial of the key set's outputs that `keys` were taken from; 0 without one. */
  readonly keySetSerial: number;
  /** Present exactly where `keySet` is null. */
  readonly jwks?: JwksConfig;
  readonly issuer: string;
  /** A token must name at least one of these. Never empty. */
  readonly audiences: readonly string[];
  readonly clockSkewMs: number;
  /** T: tokens with exp - iat above this are refused. */
  readonly maxTokenLifetimeMs: number;
  readonly requiredClaims: readonly string[];
  readonly from: readonly CredentialSource[];
  /** Empty in a bundle where `jwks` is. */
  readonly keys: readonly VerificationKey[];
}

/** JSON pointers (RFC 6901) into the claims; the first that finds something wins. */
export interface IdentityPointers {
  readonly user: readonly string[];
  readonly roles: readonly string[];
  readonly tenant: readonly string[];
  readonly tier: readonly string[];
}

/** A role with the permissions of every role it inherits already added. `*` grants every permission. */
export interface RoleGrant {
  readonly name: string;
  readonly permissions: readonly string[];
}

/** Which requests a rule or a limit is about. Empty lists match everything. */
export interface RequestMatch {
  /** Lower case, without port or trailing dot. `*.example.com` matches one or more labels. */
  readonly hosts: readonly string[];
  /** Patterns of segments: literal, `{param}`, and `**` last. */
  readonly paths: readonly string[];
  readonly methods: readonly string[];
}

/** One way to be let in: every condition that is present must hold. */
export interface AllowEntry {
  readonly anonymous?: true;
  readonly authenticated?: true;
  /** Any of these roles. */
  readonly roles?: readonly string[];
  /** All of these permissions. */
  readonly permissions?: readonly string[];
  /** CEL; an error denies. */
  readonly when?: string;
}

/** Where a request says which tenant it is about. Header names are lower case. */
export interface TenantSource {
  readonly source: 'path' | 'query' | 'header';
  readonly name: string;
}

/** One rule of an AccessPolicy. */
export interface AccessRule {
  readonly name: string;
  readonly match: RequestMatch;
  /** Any entry lets the request in. */
  readonly allow: readonly AllowEntry[];
  /** Absent: bodies pass as they are. */
  readonly body?: BodyConfig;
  /** Whoever is let in must be of this tenant besides. */
  readonly tenant?: TenantSource;
  /** And only while it is open. */
  readonly schedule?: ScheduleConfig;
}

/** How request paths are compared with patterns. */
export interface PathMatching {
  readonly case: 'Sensitive' | 'Insensitive';
  readonly trailingSlash: 'Strict' | 'Ignore';
  /** `;params` (RFC 3986 §3.3) inside a segment: refused with 400, or part of the segment. */
  readonly parameters: 'Refuse' | 'Allow';
}

/** Cross-origin rules (Fetch standard, CORS protocol). */
export interface CorsConfig {
  /** Exact origins, or the single entry `*`. */
  readonly origins: readonly string[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly credentials: boolean;
  readonly maxAgeMs: number;
}

/** What pods that issue tokens answer by themselves. */
export interface TokensConfig {
  /** `namespace/name` of the SigningKeySet. */
  readonly keySet: string;
  /** Serial of the key set's outputs that `jwks` was taken from. */
  readonly keySetSerial: number;
  readonly jwksPath: string;
  /** C: how long a verifier may cache the JWKS. */
  readonly jwksMaxAgeMs: number;
  /** Null: the keys are secrets, of which there is no JWKS. */
  readonly jwks: PublicJwkSet | null;
  /** Absent: nobody logs in here. What signs is in the issuer bundle. */
  readonly endpoints?: TokenEndpoints;
}

/** What an AccessPolicy compiles to. */
export interface AccessBundle extends ConnectionSettings {
  readonly kind: 'Access';
  readonly namespace: string;
  readonly name: string;
  readonly serial: number;
  readonly mode: Mode;
  readonly jwt: readonly JwtAuthenticator[];
  /** Absent: no API keys are accepted. */
  readonly apiKeys?: readonly ApiKeyAuthenticator[];
  /** Absent: no signed requests are accepted. */
  readonly signedRequests?: readonly SignedRequestAuthenticator[];
  /** Absent: revocations are not looked at. */
  readonly revocation?: RevocationConfig;
  /** Absent: the policy says nothing of tokens that pods issue. */
  readonly tokens?: TokensConfig;
  readonly identity: IdentityPointers;
  readonly roles: readonly RoleGrant[];
  readonly rules: readonly AccessRule[];
  readonly pathMatching: PathMatching;
  readonly cors: CorsConfig | null;
  /** Headers added to every answer, lower-case name and value. */
  readonly securityHeaders: readonly (readonly [string, string])[];
  readonly forward: { readonly identityHeaders: boolean };
}

/** A rate of `limit` requests per `windowMs`; null: unlimited, said on purpose. */
export interface Rate {
  readonly limit: number;
  readonly windowMs: number;
}

/** A named group of subjects with rates of its own. Without `when` the token's tier claim chooses it. */
export interface Tier {
  readonly name: string;
  readonly when?: string;
}

/** What requests are counted by. */
export type LimitKey = 'ip' | 'user' | 'tenant' | 'tier' | 'rule' | `claim:${string}`;

/** One limit of a RateLimitPolicy. */
export interface LimitConfig {
  readonly name: string;
  readonly match: RequestMatch;
  readonly key: readonly LimitKey[];
  readonly algorithm: LimitAlgorithm;
  /** One rate for every tier of the policy, the built-in `anonymous` and `authenticated` included. */
  readonly rates: Readonly<Record<string, Rate | null>>;
  /** TokenBucket: bucket size, at least 1. Other algorithms: 0. */
  readonly burst: number;
  /** What one request takes of the rate; absent: 1. */
  readonly cost?: number;
  /** Counted first, and within its rate alone, for authenticated requests; absent: as all others. */
  readonly lane?: 'Reserved';
  readonly onStoreFailure: OnStoreFailure;
}

/** What a RateLimitPolicy compiles to. */
export interface LimitsBundle extends ConnectionSettings {
  readonly kind: 'Limits';
  readonly namespace: string;
  readonly name: string;
  readonly serial: number;
  readonly mode: Mode;
  readonly tiers: readonly Tier[];
  readonly limits: readonly LimitConfig[];
  readonly penalties?: PenaltiesConfig;
  readonly threats?: ThreatsConfig;
  readonly timeouts: { readonly connectMs: number; readonly requestMs: number; readonly idleMs: number };
  /** Absent: DEFAULT_CONNECTIONS. */
  readonly connections?: ConnectionsConfig;
  /** Absent: there is none. */
  readonly circuitBreaker?: CircuitBreakerConfig;
  /** Absent: the application reaches nothing through its sidecar. */
  readonly egress?: readonly EgressConfig[];
}

/** Any bundle. */
export type Bundle = AccessBundle | LimitsBundle | IssuerBundle;

import type { BodyConfig } from '../evaluate/body/body-config.ts';
import type { ScheduleConfig } from '../evaluate/schedule.ts';
import type { PublicJwkSet } from '../jwks/public-jwk-set.ts';
import type { PublicJwk } from '../keys/outputs.ts';
import { authenticationShape } from './authentication.ts';
import type { Check, Shape } from './check.ts';
import { count, flag, list, name, nullable, object, oneOf, record, refuse, someOf, text, yes } from './check.ts';
import { circuitBreakerShape } from './circuit-breaker.ts';
import { connectionsShape } from './connections.ts';
import { egressConfigs } from './egress.ts';
import { penalties, threats } from './threats.ts';
import { tokenEndpoints } from './tokens.ts';
import type {
  AccessBundle,
  AccessRule,
  AllowEntry,
  ClientIpConfig,
  ConnectionSettings,
  CorsConfig,
  CredentialSource,
  IdentityPointers,
  JwksConfig,
  JwtAuthenticator,
  LimitConfig,
  LimitKey,
  LimitsBundle,
  Mode,
  PathMatching,
  Rate,
  RequestMatch,
  RoleGrant,
  StoreConfig,
  TenantSource,
  Tier,
  TokensConfig,
  VerificationKey,
} from './types.ts';
import { JWT_ALGORITHMS } from './types.ts';

const mode = oneOf<Mode>('Enforce', 'Shadow');
const names = list(name);
const store = nullable(object<StoreConfig>({ redisUrl: name, ca: name }, ['ca']));
const clientIp = object<ClientIpConfig>({ trustedHops: count(0), trustedProxies: names });
const connection: Shape<ConnectionSettings> = {
  store,
  clientIp: nullable(clientIp),
  defaults: object<ConnectionSettings['defaults']>({ store, clientIp }),
};

const credentialInHeader = object<Extract<CredentialSource, { kind: 'header' }>>({
  kind: oneOf('header'),
  header: name,
  scheme: text,
});
const credentialInCookie = object<Extract<CredentialSource, { kind: 'cookie' }>>({
  kind: oneOf('cookie'),
  cookie: name,
});
const credentialInQuery = object<Extract<CredentialSource, { kind: 'query' }>>({
  kind: oneOf('query'),
  parameter: name,
});
const credential: Check<CredentialSource> = (value, place) => {
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : '';
  if (kind === 'query') return credentialInQuery(value, place);
  return kind === 'cookie' ? credentialInCookie(value, place) : credentialInHeader(value, place);
};

const jwks = object<JwksConfig>({
  uri: name,
  ca: nullable(name),
  algorithms: someOf(oneOf('RS256', 'PS256', 'ES256', 'ES384', 'EdDSA')),
  refreshMs: count(1),
  onFailure: oneOf('LastGood', 'Deny'),
  allowPrivateAddresses: flag,
});

const authenticatorMembers = object<JwtAuthenticator>(
  {
    name,
    keySet: nullable(name),
    keySetSerial: count(0),
    jwks,
    issuer: name,
    audiences: someOf(name),
    clockSkewMs: count(0),
    maxTokenLifetimeMs: count(1),
    requiredClaims: names,
    from: someOf(credential),
    keys: list(
      object<VerificationKey>({
        kid: name,
        algorithm: oneOf(...JWT_ALGORITHMS),
        jwk: record(text),
      }),
    ),
  },
  ['jwks'],
);

/** Keys come from one place: a key set with its serial, or an issuer outside. */
const authenticator: Check<JwtAuthenticator> = (value, place) => {
  const found = authenticatorMembers(value, place);
  const { keySet, keySetSerial, keys } = found;
  if (
    found.jwks === undefined
      ? keySet === null || keySetSerial < 1
      : keySet !== null || keySetSerial > 0 || keys.length > 0
  ) {
    refuse(place, 'an issuer with either keySet, keySetSerial and keys, or jwks');
  }
  return found;
};

/** Exactly the members of public keys: a private one refuses the bundle. */
const publicJwk = object<PublicJwk>(
  {
    kty: oneOf('RSA', 'EC', 'OKP'),
    crv: name,
    x: name,
    y: name,
    n: name,
    e: name,
    kid: name,
    alg: oneOf(...JWT_ALGORITHMS),
    use: oneOf('sig'),
  },
  ['crv', 'x', 'y', 'n', 'e'],
);

const tokens = object<TokensConfig>(
  {
    keySet: name,
    keySetSerial: count(1),
    jwksPath: name,
    jwksMaxAgeMs: count(0),
    jwks: nullable(object<PublicJwkSet>({ keys: someOf(publicJwk) })),
    endpoints: tokenEndpoints,
  },
  ['endpoints'],
);

const match = object<RequestMatch>({ hosts: names, paths: names, methods: names });

const allow = object<AllowEntry>(
  { anonymous: yes, authenticated: yes, roles: someOf(name), permissions: someOf(name), when: name },
  ['anonymous', 'authenticated', 'roles', 'permissions', 'when'],
);

const rule = object<AccessRule>(
  {
    name,
    match,
    allow: list(allow),
    tenant: object<TenantSource>({ source: oneOf('path', 'query', 'header'), name }),
    schedule: object<ScheduleConfig>({ timezone: name, open: someOf(name), closed: names }),
    body: object<BodyConfig>({
      contentTypes: someOf(name),
      maxBytes: count(1),
      schema: (value) => value, // compiling it checks it
      rules: list(object<BodyConfig['rules'][number]>({ rule: name, message: name })),
    }),
  },
  ['tenant', 'schedule', 'body'],
);

const header: Check<readonly [string, string]> = (value, place) => {
  const [key, content] = list(text)(value, place);
  return [name(key, `${place}[0]`), text(content, `${place}[1]`)];
};

/** Checks that a decoded document is an access bundle, member for member. */
export const accessBundle = object<AccessBundle>(
  {
    kind: oneOf('Access'),
    namespace: name,
    name,
    serial: count(1),
    mode,
    ...connection,
    jwt: list(authenticator),
    ...authenticationShape,
    tokens,
    identity: object<IdentityPointers>({ user: names, roles: names, tenant: names, tier: names }),
    roles: list(object<RoleGrant>({ name, permissions: names })),
    rules: list(rule),
    pathMatching: object<PathMatching>({
      case: oneOf('Sensitive', 'Insensitive'),
      trailingSlash: oneOf('Strict', 'Ignore'),
      parameters: oneOf('Refuse', 'Allow'),
    }),
    cors: nullable(
      object<CorsConfig>({
        origins: names,
        methods: names,
        headers: names,
        exposeHeaders: names,
        credentials: flag,
        maxAgeMs: count(0),
      }),
    ),
    securityHeaders: list(header),
    forward: object<AccessBundle['forward']>({ identityHeaders: flag }),
  },
  ['tokens', 'apiKeys', 'signedRequests', 'revocation'],
);

const limitKey: Check<LimitKey> = (value, place) =>
  /^claim:./.test(text(value, place))
    ? (value as `claim:${string}`)
    : oneOf<LimitKey>('ip', 'user', 'tenant', 'tier', 'rule')(value, place);

const rate = nullable(object<Rate>({ limit: count(1), windowMs: count(1) }));

/** Checks that a decoded document is a limits bundle, member for member. */
export const limitsBundle = object<LimitsBundle>(
  {
    kind: oneOf('Limits'),
    namespace: name,
    name,
    serial: count(1),
    mode,
    ...connection,
    tiers: list(object<Tier>({ name, when: name }, ['when'])),
    limits: list(
      object<LimitConfig>(
        {
          name,
          match,
          key: someOf(limitKey),
          algorithm: oneOf('SlidingWindow', 'TokenBucket', 'FixedWindow'),
          rates: record(rate),
          burst: count(0),
          cost: count(1),
          lane: oneOf('Reserved'),
          onStoreFailure: oneOf('LocalShare', 'Allow', 'Deny'),
        },
        ['cost', 'lane'],
      ),
    ),
    timeouts: object<LimitsBundle['timeouts']>({ connectMs: count(1), requestMs: count(1), idleMs: count(1) }),
    connections: connectionsShape,
    penalties,
    threats,
    circuitBreaker: circuitBreakerShape,
    egress: egressConfigs,
  },
  ['connections', 'penalties', 'threats', 'circuitBreaker', 'egress'],
);

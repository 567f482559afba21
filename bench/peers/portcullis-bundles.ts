import type { AccessBundle, LimitsBundle } from '../../policy/bundle/types.ts';
import { AUDIENCE, ISSUER, TOKEN_LIFETIME_SECONDS, type TokenSet } from '../tokens.ts';

/** Namespace of both policies. */
export const BENCH_NAMESPACE = 'bench';
/** Name of both policies. */
export const BENCH_POLICY = 'orders';

const identity = { namespace: BENCH_NAMESPACE, name: BENCH_POLICY, serial: 1, mode: 'Enforce' } as const;
const defaults = { store: null, clientIp: { trustedHops: 0, trustedProxies: [] } };
// Never reached: a refused request would cost less than the admitted one that is measured.
const ENOUGH = 100_000_000;
/** A window too short to lease a limit from Redis: each request asks. */
export const NEVER_LEASED_MS = 59;

/** JWT of one key, roles with permissions, one rule for GET /orders, security headers and identity headers. */
export function accessBundle({ algorithm, kid, jwk }: TokenSet): AccessBundle {
  return {
    kind: 'Access',
    ...identity,
    store: null,
    clientIp: null,
    defaults,
    jwt: [
      {
        name: 'trading',
        keySet: `${BENCH_NAMESPACE}/trading`,
        keySetSerial: 1,
        issuer: ISSUER,
        audiences: [AUDIENCE],
        clockSkewMs: 60_000,
        maxTokenLifetimeMs: TOKEN_LIFETIME_SECONDS * 1_000,
        requiredClaims: ['sub'],
        from: [{ kind: 'header', header: 'authorization', scheme: 'Bearer' }],
        keys: [{ kid, algorithm, jwk }],
      },
    ],
    identity: { user: ['/sub'], roles: ['/roles'], tenant: ['/tenant_id'], tier: ['/tier'] },
    roles: [
      { name: 'viewer', permissions: ['candles:read'] },
      { name: 'trader', permissions: ['candles:read', 'orders:read', 'orders:write'] },
      { name: 'admin', permissions: ['*'] },
    ],
    rules: [
      {
        name: 'read-orders',
        match: { hosts: [], paths: ['/orders'], methods: ['GET'] },
        allow: [{ permissions: ['orders:read'] }],
      },
    ],
    pathMatching: { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' },
    cors: null,
    securityHeaders: [
      ['x-content-type-options', 'nosniff'],
      ['x-frame-options', 'DENY'],
    ],
    forward: { identityHeaders: true },
  };
}

/** One limit a user, in the memory of the process or in Redis. */
export function limitsBundle(redisUrl: string | null, windowMs: number): LimitsBundle {
  const rate = { limit: ENOUGH, windowMs };
  return {
    kind: 'Limits',
    ...identity,
    store: redisUrl === null ? null : { redisUrl },
    clientIp: null,
    defaults,
    tiers: [],
    limits: [
      {
        name: 'per-minute',
        match: { hosts: [], paths: [], methods: [] },
        key: ['user'],
        algorithm: 'SlidingWindow',
        rates: { anonymous: rate, authenticated: rate },
        burst: 0,
        onStoreFailure: 'LocalShare',
      },
    ],
    timeouts: { connectMs: 1_000, requestMs: 30_000, idleMs: 60_000 },
  };
}

import type { KeyObject } from 'node:crypto';
import { createPrivateKey } from 'node:crypto';
import type { AccessBundle, LimitsBundle } from '../types.ts';

const PKCS8_ED25519_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** An Ed25519 private key that is always the same for the same `fill` byte: for tests only. */
export function testPrivateKey(fill: number): KeyObject {
  const der = Buffer.concat([PKCS8_ED25519_PREFIX, Buffer.alloc(32, fill)]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

/** An access bundle with every member used: for tests only. */
export const exampleAccessBundle: AccessBundle = {
  kind: 'Access',
  namespace: 'trading',
  name: 'orders',
  serial: 7,
  mode: 'Enforce',
  store: { redisUrl: 'redis://127.0.0.1:6379' },
  clientIp: { trustedHops: 1, trustedProxies: ['10.0.0.0/8'] },
  defaults: { store: { redisUrl: 'redis://127.0.0.1:6380' }, clientIp: { trustedHops: 2, trustedProxies: [] } },
  jwt: [
    {
      name: 'trading',
      keySet: 'auth/trading',
      keySetSerial: 42,
      issuer: 'https://auth.trading.example',
      audiences: ['trading-api'],
      clockSkewMs: 60_000,
      maxTokenLifetimeMs: 3_600_000,
      requiredClaims: ['sub'],
      from: [
        { kind: 'header', header: 'authorization', scheme: 'Bearer' },
        { kind: 'cookie', cookie: 'access_token' },
      ],
      keys: [{ kid: 'k1', algorithm: 'HS256', jwk: { kty: 'oct', k: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8' } }],
    },
  ],
  identity: { user: ['/sub'], roles: ['/roles', '/role'], tenant: ['/tenant_id'], tier: ['/tier'] },
  roles: [{ name: 'admin', permissions: ['*'] }],
  rules: [
    {
      name: 'read-user',
      match: { hosts: ['api.x'], paths: ['/users/{id}'], methods: ['GET'] },
      allow: [{ roles: ['admin'] }, { when: 'claims.sub == path.id' }],
    },
    { name: 'login', match: { hosts: [], paths: ['/auth/login'], methods: [] }, allow: [{ anonymous: true }] },
  ],
  pathMatching: { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' },
  cors: {
    origins: ['https://app.example'],
    methods: ['GET'],
    headers: ['authorization'],
    exposeHeaders: ['x-request-id'],
    credentials: true,
    maxAgeMs: 600_000,
  },
  securityHeaders: [['x-content-type-options', 'nosniff']],
  forward: { identityHeaders: true },
};

/** A limits bundle with every member used: for tests only. */
export const exampleLimitsBundle: LimitsBundle = {
  kind: 'Limits',
  namespace: 'trading',
  name: 'standard',
  serial: 3,
  mode: 'Shadow',
  store: null,
  clientIp: null,
  defaults: { store: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
  tiers: [{ name: 'premium', when: 'claims.tier == "premium"' }],
  limits: [
    {
      name: 'per-minute',
      match: { hosts: [], paths: [], methods: [] },
      key: ['user'],
      algorithm: 'SlidingWindow',
      rates: {
        anonymous: { limit: 10, windowMs: 60_000 },
        authenticated: { limit: 100, windowMs: 60_000 },
        premium: null,
      },
      burst: 0,
      onStoreFailure: 'LocalShare',
    },
  ],
  timeouts: { connectMs: 1000, requestMs: 30_000, idleMs: 60_000 },
};

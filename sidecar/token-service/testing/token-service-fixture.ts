import { createHash } from 'node:crypto';
import type { AMBIGUOUS } from '../../filters/credentials.ts';
import { MemoryRefreshTokens } from '../../stores/refresh-tokens-memory.ts';
import { MemoryRevocations } from '../../stores/revocations-memory.ts';
import type { TokenServiceConfig } from '../config.ts';
import type {
  PasswordVerifier,
  TokenAnswer,
  TokenEvent,
  TokenRequest,
  TokenResult,
  TokenServicePorts,
} from '../ports.ts';
import { createTokenService } from '../token-service.ts';

/** For tests: midnight of a day that has whole seconds. */
export const T = 1_800_000_000_000;

/** For tests: the shape of a bcrypt hash; `testPasswords` knows what it stands for. */
export function testHash(cost: number, user: string): string {
  return `$2b$${cost}$${user.padEnd(53, '.')}`;
}

/** For tests: one user for each state of a user. */
export const TEST_USERS = {
  ann: testHash(12, 'ann'),
  eve: testHash(12, 'eve'),
  ['__proto__']: testHash(12, 'proto'),
};

/** For tests: the password of `user` is `NAME's password`; counts what is computed. */
export function testPasswords(): PasswordVerifier & { readonly calls: (readonly string[])[] } {
  const calls: (readonly string[])[] = [];
  return {
    calls,
    verify: async (password, hashes) => {
      calls.push(hashes);
      return Object.values<string>(TEST_USERS).includes(hashes[0] ?? '') && password === 'right';
    },
    close: async () => {},
  };
}

/** For tests: what an endpoint is asked, a JSON body by default. */
export interface TestRequest {
  readonly body?: unknown;
  readonly contentType?: string | undefined;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly cookies?: Readonly<Record<string, string | typeof AMBIGUOUS>>;
  readonly originTrusted?: boolean;
}

/** For tests: what a token service works with, and what a request brings. */
export type TestPorts = TokenServicePorts & Pick<TokenRequest, 'guard' | 'upstream' | 'onEvent'>;

/** For tests: every part of a token service that a test may change. */
export function testTokenService(config: Partial<TokenServiceConfig> = {}, changed: Partial<TestPorts> = {}) {
  const passwords = testPasswords();
  const events: TokenEvent[] = [];
  const sent: (readonly [string, string])[] = [];
  const clock = { now: T };
  let random = 0;
  const signed: Readonly<Record<string, unknown>>[] = [];
  const ports: TestPorts = {
    signer: {
      async sign(claims, lifetimeMs, now) {
        signed.push(JSON.parse(JSON.stringify({ ...claims, now })));
        return { token: `token-${signed.length}`, expiresIn: lifetimeMs / 1000 };
      },
    },
    passwords,
    refreshTokens: new MemoryRefreshTokens(),
    revocations: new MemoryRevocations(),
    upstream: async (path, json) => {
      sent.push([path, json]);
      return { status: 200, json: '{"user_id":7,"role":"trader","tenant_id":"acme"}' };
    },
    identify: (claims) => ({
      user: String(claims['sub'] ?? claims['user_id'] ?? '') || null,
      roles: [claims['role'] ?? []].flat().map(String),
      tenant: typeof claims['tenant_id'] === 'string' ? claims['tenant_id'] : null,
      tierClaim: null,
    }),
    guard: async () => undefined,
    onEvent: (event) => events.push(event),
    now: () => clock.now,
    randomBytes: (size) => createHash('sha512').update(String(random++)).digest().subarray(0, size),
    ...changed,
  };
  const service = createTokenService(
    {
      issuer: 'https://auth.example',
      audiences: ['trading-api'],
      accessLifetimeMs: 3_600_000,
      refreshLifetimeMs: 604_800_000,
      refreshGraceMs: 10_000,
      clockSkewMs: 60_000,
      login: {
        path: '/auth/login',
        credentials: {
          kind: 'Htpasswd',
          hashes: TEST_USERS,
          claims: { ann: { roles: ['trader'], tenant_id: 'acme' }, eve: { active: false } },
        },
      },
      register: {
        path: '/auth/register',
        upstream: '/internal/register',
        password: { minLength: 8, classes: ['Upper', 'Lower', 'Digit', 'Special'] },
      },
      refresh: { path: '/auth/refresh' },
      logout: { path: '/auth/logout' },
      delivery: 'Body',
      identity: { user: ['/sub', '/user_id'], roles: ['/roles'], tenant: ['/tenant_id'], tier: ['/tier'] },
      ...config,
    },
    ports,
  );

  async function post(path: string, request: TestRequest = {}): Promise<TokenResult> {
    const handler = service.get(path);
    if (handler === undefined) throw new Error(`no handler for ${path}`);
    const { body = '', claims, cookies = {} } = request;
    const asked: TokenRequest = {
      body: Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
      contentType: Object.hasOwn(request, 'contentType') ? request.contentType : 'application/json',
      clientAddress: '192.0.2.1',
      identity: claims === undefined ? null : { claims },
      cookie: (name) => cookies[name],
      originTrusted: () => request.originTrusted ?? true,
      guard: ports.guard,
      upstream: ports.upstream,
      onEvent: ports.onEvent,
    };
    return handler(asked);
  }

  return { service, post, passwords, events, sent, signed, clock, ports };
}

/** For tests: the answer, which must be one; its body parsed when there is one. */
export function answered(answer: TokenResult): TokenAnswer & { readonly json: Record<string, string> } {
  if (!('status' in answer)) throw new Error(`denied: ${JSON.stringify(answer)}`);
  return { ...answer, json: answer.body === '' ? {} : JSON.parse(answer.body) };
}

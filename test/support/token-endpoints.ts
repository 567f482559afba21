import type { TokenEndpoints } from '../../policy/bundle/tokens.ts';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import { type RawAnswer, send } from './raw-http.ts';
import {
  baseAccess,
  baseIssuer,
  type PolicyUnderTest,
  rule,
  type SidecarUnderTest,
  startSidecarUnderTest,
} from './sidecar-under-test.ts';

/** ann's, eve's and idle's. */
export const PASSWORD = 'correct horse battery staple';
const HASH = '$2b$12$kOAPLOTahnfkT/2NMCti6OaZHNbH3ITQrdcmzV33DbDYPZNpzjyWy';

/** A trader, somebody without roles, and somebody who may not log in. */
export const USERS = {
  hashes: { ann: HASH, eve: HASH, idle: HASH },
  claims: { ann: { roles: ['trader'], tenant_id: 'acme' }, idle: { active: false } },
};

/** Endpoints that issue what `baseAccess` accepts. */
export const baseEndpoints: TokenEndpoints = {
  issuer: baseAccess.jwt[0]?.issuer ?? '',
  audiences: baseAccess.jwt[0]?.audiences ?? [],
  kids: [baseIssuer.signingKey?.kid ?? ''],
  accessLifetimeMs: 900_000,
  refreshLifetimeMs: 3_600_000,
  refreshGraceMs: 10_000,
  clockSkewMs: 60_000,
  login: { path: '/auth/login', upstream: null },
  register: {
    path: '/auth/register',
    upstream: '/internal/register',
    password: { minLength: 12, classes: ['Upper', 'Lower', 'Digit', 'Special'] },
  },
  refresh: { path: '/auth/refresh' },
  logout: { path: '/auth/logout' },
  delivery: 'Body',
};

/** Policies with these endpoints: everybody may ask them, who has a token the rest. */
export function policyWith(
  endpoints: Partial<TokenEndpoints> = {},
  access: Partial<AccessBundle> = {},
): PolicyUnderTest & { readonly access: Partial<AccessBundle> } {
  return {
    access: {
      rules: [rule('auth', ['/auth/**'], [{ anonymous: true }]), rule('rest', ['/**'], [{ authenticated: true }])],
      tokens: {
        keySet: baseIssuer.keySet,
        keySetSerial: 1,
        jwksPath: '/.well-known/jwks.json',
        jwksMaxAgeMs: 600_000,
        jwks: null,
        endpoints: { ...baseEndpoints, ...endpoints },
      },
      ...access,
    },
    issuer: { users: USERS },
  };
}

/** A sidecar with such policies that ends with the test, and ways to ask it. */
export interface TokenSidecar extends SidecarUnderTest {
  /** POSTs JSON with header lines besides. */
  post(path: string, body: unknown, ...headers: readonly string[]): Promise<RawAnswer>;
  get(path: string, ...headers: readonly string[]): Promise<RawAnswer>;
  /** Logs ann in; the members of the answer. */
  login(user?: string): Promise<Readonly<Record<string, string>>>;
}

/** Starts one; `after` is called with what ends it. */
export async function startTokenSidecar(
  policy: PolicyUnderTest,
  after: (end: () => Promise<void>) => void,
): Promise<TokenSidecar> {
  const sut = await startSidecarUnderTest(policy);
  after(() => sut.stop());
  const ask = (method: string, path: string, headers: readonly string[], body = ''): Promise<RawAnswer> => {
    const lines = [`${method} ${path} HTTP/1.1`, 'Host: api.example', ...headers];
    if (method === 'POST') lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
    return send(sut.port, Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`), { timeoutMs: 10_000 });
  };
  const post: TokenSidecar['post'] = (path, body, ...headers) =>
    ask(
      'POST',
      path,
      ['Content-Type: application/json', ...headers],
      typeof body === 'string' ? body : JSON.stringify(body),
    );
  return {
    ...sut,
    post,
    get: (path, ...headers) => ask('GET', path, headers),
    async login(user = 'ann') {
      const { status, body } = await post('/auth/login', { username: user, password: PASSWORD });
      if (status !== 200) throw new Error(`login: ${status} ${body}`);
      return JSON.parse(body);
    },
  };
}

/** Status and code of an answer. */
export function codeOf({ status, body }: RawAnswer): string {
  return status < 400 ? String(status) : `${status} ${JSON.parse(body).code}`;
}

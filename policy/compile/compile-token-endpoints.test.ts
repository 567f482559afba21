import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccessPolicy } from '../api/access-policy.ts';
import { type Decoded, decodeResource } from '../api/decode.ts';
import { formatPath } from '../api/problem.ts';
import { API_VERSION } from '../api/resource.ts';
import type { SigningKeySet } from '../api/signing-key-set.ts';
import { compileAccessPolicy } from './compile-access-policy.ts';
import { compileIssuer } from './compile-issuer.ts';
import type { ReferencedSecret, References, ResolvedKeySet } from './references.ts';

const HASH = `$2y$12$${'C6UzMDM.H6dfI/f/IKcEe.7uLJWvvJ4Ljtq4Q1eEGkZv0F1yY8y2q'}`;
const PUBLIC = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' };
const LOGIN = { path: '/auth/login', credentials: { htpasswdSecretRef: { name: 'users' } } };
const RULES = [{ name: 'auth', match: { paths: ['/auth/**'], methods: ['POST'] }, allow: [{ anonymous: true }] }];

function decode(kind: string, namespace: string, name: string, spec: object): Decoded {
  return decodeResource({ apiVersion: API_VERSION, kind, metadata: { namespace, name }, spec });
}

function keySet(more: object = {}, namespace = 'shop', activeKid = 'k1'): ResolvedKeySet {
  const terms = { issuer: 'https://shop', audiences: ['api'], maxTokenLifetime: '2h', algorithm: 'ES256' };
  const decoded = decode('SigningKeySet', namespace, 'keys', { ...terms, ...more });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  const verificationKeys = (['k1', 'k2'] as const).map((kid) => ({ kid, algorithm: 'ES256' as const, jwk: PUBLIC }));
  const privateJwk = { ...PUBLIC, d: 'THE-PRIVATE-KEY' };
  const issuing = { kid: activeKid, algorithm: 'ES256', privateJwk, maxTokenLifetimeMs: 7_200_000 } as const;
  return { resource: decoded.resource as SigningKeySet, outputs: { serial: 7, verificationKeys, issuing } };
}

function users(data: Readonly<Record<string, string>> = {}, label = 'true'): ReferencedSecret {
  const labels = { 'portcullis.dev/allow-reference': label };
  return { namespace: 'shop', name: 'users', labels, data: { 'users.htpasswd': `ann:${HASH}\n`, ...data } };
}

function policy(tokens: object, more: object = {}): AccessPolicy {
  const authentication = { jwt: [{ name: 'own', keySetRef: { name: 'keys' } }], revocation: {} };
  const spec = { authentication, rules: RULES, tokens: { keySetRef: { name: 'keys' }, ...tokens }, ...more };
  const decoded = decode('AccessPolicy', 'shop', 'orders', spec);
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  return decoded.resource as AccessPolicy;
}

function compile(resource: AccessPolicy, secrets = [users()], keySets = [keySet()]) {
  const references: References = {
    keySets,
    secrets,
    namespaces: [{ name: 'shop', labels: { team: 'shop' } }],
    storeOverride: null,
    defaultStore: 'redis://redis:6379',
    defaultClientIp: null,
  };
  const { content, findings } = compileAccessPolicy(resource, references);
  return {
    content,
    endpoints: content?.tokens?.endpoints,
    issuer: compileIssuer(resource, references),
    said: findings.map(({ severity, path, message }) => `${severity} ${formatPath(path)}: ${message}`),
  };
}

describe('compileTokenEndpoints', () => {
  it('fills in every default', () => {
    const { endpoints, said } = compile(policy({ login: LOGIN, refresh: { path: '/auth/refresh' } }));
    assert.deepEqual(endpoints, {
      issuer: 'https://shop',
      audiences: ['api'],
      kids: ['k1', 'k2'],
      accessLifetimeMs: 3_600_000,
      refreshLifetimeMs: 604_800_000,
      refreshGraceMs: 10_000,
      clockSkewMs: 60_000,
      login: { path: '/auth/login', upstream: null },
      register: null,
      refresh: { path: '/auth/refresh' },
      logout: null,
      delivery: 'Body',
    });
    assert.deepEqual(said, []);
  });

  it('takes what is written', () => {
    const credentials = { upstream: { path: '/internal/verify' } };
    const register = { path: '/auth/new', upstream: '/internal/new', password: { minLength: 12, classes: ['Digit'] } };
    const { endpoints, issuer, said } = compile(
      policy({
        login: { ...LOGIN, credentials },
        register,
        accessLifetime: '2h',
        refreshGrace: '0s',
        delivery: 'Body',
      }),
      [],
    );
    assert.deepEqual(endpoints?.login, { path: '/auth/login', upstream: '/internal/verify' });
    assert.deepEqual(endpoints?.register, register);
    assert.deepEqual([endpoints?.accessLifetimeMs, endpoints?.refreshGraceMs], [7_200_000, 0]);
    assert.equal(issuer?.users, null);
    assert.deepEqual(said, []);
  });

  it('issues for no longer than a shorter key set allows, when nothing is said', () =>
    assert.equal(
      compile(policy({ login: LOGIN }), [users()], [keySet({ maxTokenLifetime: '10m' })]).endpoints?.accessLifetimeMs,
      600_000,
    ));

  it('is nothing without login, and has nothing to sign by', () => {
    const { content, endpoints, issuer } = compile(policy({}));
    assert.ok(content?.tokens);
    assert.deepEqual([endpoints, issuer], [undefined, null]);
  });

  const shared = { usableFrom: { namespaceSelector: { matchLabels: { team: 'shop' } } } };
  const refused: readonly (readonly [string, () => ReturnType<typeof compile>, RegExp])[] = [
    [
      'tokens that verifiers refuse',
      () => compile(policy({ login: LOGIN, accessLifetime: '121m' })),
      /accessLifetime: is longer than maxTokenLifetime .*; write at most 2h/,
    ],
    [
      'a key set of another namespace',
      () =>
        compile(
          policy({ login: LOGIN, keySetRef: { name: 'keys', namespace: 'auth' } }),
          [users()],
          [keySet(shared, 'auth')],
        ),
      /keySetRef.namespace: keys that sign never leave their namespace/,
    ],
    [
      'no such Secret',
      () => compile(policy({ login: LOGIN }), []),
      /htpasswdSecretRef.name: Secret shop\/users does not exist; add it/,
    ],
    [
      'a Secret without the label',
      () => compile(policy({ login: LOGIN }), [users({}, '')]),
      /may not be read by policies/,
    ],
    [
      'a Secret without users',
      () => compile(policy({ login: LOGIN }), [{ ...users(), data: { url: 'x' } }]),
      /has no key users.htpasswd; write a line NAME:HASH/,
    ],
    [
      'a Secret of which nothing was kept',
      () => compile(policy({ login: LOGIN }), [{ ...users(), data: {} }]),
      /is empty, or holds more than 192 KiB/,
    ],
    [
      'two files of claims',
      () => compile(policy({ login: LOGIN }), [users({ 'claims.yaml': '', 'claims.json': '{}' })]),
      /both claims.yaml and claims.json/,
    ],
    [
      'everything wrong with the users at once',
      () => compile(policy({ login: LOGIN }), [users({ 'users.htpasswd': 'ann:x\nbob:y\n' })]),
      /line 1: no bcrypt.*line 2: no bcrypt/s,
    ],
    [
      'two paths that the policy takes for one',
      () =>
        compile(policy({ login: LOGIN, logout: { path: '/AUTH/login' } }, { pathMatching: { case: 'Insensitive' } })),
      /tokens.logout.path: is the path of login too/,
    ],
  ];
  for (const [name, run, says] of refused) {
    it(`refuses ${name}, and nothing is signed`, () => {
      const { content, issuer, said } = run();
      assert.equal(content, null);
      assert.match(said.join('\n'), says);
      assert.ok(!said.join().includes('C6UzMDM'));
      // The operator asks only after the policy was accepted; all the same.
      if (/Secret|keySetRef/.test(said.join())) assert.equal(issuer, null);
    });
  }

  const logout = { path: '/auth/logout' };
  const verify = { login: { ...LOGIN, credentials: { upstream: { path: '/internal/verify' } } } };
  const open = { name: 'open', match: { paths: ['/internal/**'] }, allow: [{ authenticated: true }] };
  const warned: readonly (readonly [string, AccessPolicy, RegExp | null])[] = [
    [
      'no rule for an endpoint',
      policy({ login: LOGIN }, { rules: [] }),
      /^warning spec.tokens.login.path: no rule lets anybody in .*paths: \[\/auth\/login\]/,
    ],
    [
      'a rule of another method',
      policy({ login: LOGIN }, { rules: [{ ...RULES[0], match: { paths: ['/auth/**'], methods: ['GET'] } }] }),
      /spec.tokens.login.path: no rule/,
    ],
    [
      'a rule that wants a token first',
      policy({ login: LOGIN, logout }, { rules: [{ ...RULES[0], allow: [{ authenticated: true }] }] }),
      /tokens.login.path: .*tokens.logout.path: no rule/s,
    ],
    [
      'a rule of one host',
      policy({ login: LOGIN }, { rules: [{ ...RULES[0], match: { paths: ['/auth/**'], hosts: ['*.example.com'] } }] }),
      null,
    ],
    ['a wider rule', policy({ login: LOGIN, logout }), null],
    [
      'a logout that nothing looks for',
      policy({ login: LOGIN, logout }, { authentication: { jwt: [{ name: 'own', keySetRef: { name: 'keys' } }] } }),
      /^warning spec.tokens.logout: .* access tokens stay good .*write authentication: \{revocation: \{\}\}/,
    ],
    [
      'a refresh token that ends first',
      policy({ login: LOGIN, refresh: { path: '/auth/refresh' }, accessLifetime: '1h', refreshLifetime: '1h' }),
      /^warning spec.tokens.refreshLifetime: is no longer than accessLifetime/,
    ],
    [
      'clients at the path that verifies',
      policy(verify, { rules: [...RULES, open] }),
      /upstream.path: rule "open" lets clients ask/,
    ],
    [
      'clients at the path that registers',
      policy(
        { ...verify, register: { path: '/auth/new', upstream: '/internal/new' } },
        {
          rules: [...RULES, { ...open, match: { paths: ['/internal/new'] } }],
        },
      ),
      /^warning spec.tokens.register.upstream: rule "open" lets clients ask[^\n]*$/,
    ],
    [
      'that path closed',
      policy(verify, {
        rules: [
          ...RULES,
          { ...open, name: 'shut', match: { paths: ['/internal/verify'] }, allow: [{ when: 'false' }] },
          open,
        ],
      }),
      null,
    ],
    [
      'cookies that nobody reads',
      policy(
        { login: LOGIN, delivery: 'Cookie' },
        { authentication: { jwt: [{ name: 'own', keySetRef: { name: 'keys' } }] } },
      ),
      /delivery: is Cookie, and no issuer .*write from: \[\{cookie: __Host-access_token\}\]/,
    ],
    [
      'cookies that are read',
      policy(
        { login: LOGIN, delivery: 'Cookie' },
        {
          authentication: {
            jwt: [{ name: 'own', keySetRef: { name: 'keys' }, from: [{ cookie: '__Host-access_token' }] }],
          },
        },
      ),
      null,
    ],
  ];
  for (const [name, resource, says] of warned) {
    it(`${name}: ${says === null ? 'nothing to say' : 'warning'}`, () => {
      const { content, said } = compile(resource);
      assert.ok(content, said.join());
      if (says === null) assert.deepEqual(said, []);
      else assert.match(said.join('\n'), says);
    });
  }
});

describe('compileIssuer', () => {
  it('has the key that signs and the users, which stand nowhere else', () => {
    const { content, issuer, said } = compile(policy({ login: LOGIN }), [
      users({ 'claims.yaml': 'ann: {roles: [trader], note: OF-ANN}' }),
    ]);
    assert.deepEqual(issuer, {
      kind: 'Issuer',
      namespace: 'shop',
      name: 'orders',
      keySet: 'shop/keys',
      keySetSerial: 7,
      signingKey: {
        kid: 'k1',
        algorithm: 'ES256',
        privateJwk: { ...PUBLIC, d: 'THE-PRIVATE-KEY' },
        maxTokenLifetimeMs: 7_200_000,
      },
      users: { hashes: { ann: HASH }, claims: { ann: { roles: ['trader'], note: 'OF-ANN' } } },
    });
    assert.doesNotMatch(JSON.stringify([content, said]), /THE-PRIVATE-KEY|C6UzMDM|OF-ANN|"ann"/);
  });

  it('signs by no key that is revoked, and verifies by none', () => {
    const revoking = keySet({ revocations: [{ kid: 'k1', reason: 'laptop stolen' }] });
    const { endpoints, issuer } = compile(policy({ login: LOGIN }), [users()], [revoking]);
    assert.deepEqual([issuer?.signingKey, endpoints?.kids], [null, ['k2']]);
  });
});

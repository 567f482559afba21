import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleAccessBundle } from '../bundle/testing/example-bundles.ts';
import type { AccessBundle, AccessRule } from '../bundle/types.ts';
import { PortcullisError } from '../errors.ts';
import { compileAccess, type RequestFacts } from './access-evaluator.ts';

function rule(
  name: string,
  match: Partial<AccessRule['match']>,
  allow: AccessRule['allow'] = [{ anonymous: true }],
): AccessRule {
  return { name, match: { hosts: [], paths: [], methods: [], ...match }, allow };
}

const ROLES = [
  { name: 'viewer', permissions: ['users:read', 'positions:read'] },
  { name: 'trader', permissions: ['users:read', 'positions:read', 'orders:read', 'orders:write'] },
  { name: 'admin', permissions: ['*'] },
];

function evaluator(rules: readonly AccessRule[], changes: Partial<AccessBundle> = {}) {
  return compileAccess({ ...exampleAccessBundle, roles: ROLES, rules, ...changes });
}

function facts(changes: Partial<RequestFacts> = {}): RequestFacts {
  return { method: 'GET', query: '', headers: [], clientAddress: '192.0.2.1', receivedAt: 0, ...changes };
}

const finding: readonly {
  readonly name: string;
  readonly rules: readonly AccessRule[];
  readonly cases: readonly (readonly [host: string, method: string, path: string, rule: string | undefined])[];
}[] = [
  {
    name: 'literal, then parameter, then **, from the left',
    rules: [
      rule('rest', { paths: ['/users/**'] }),
      rule('one', { paths: ['/users/{id}'] }),
      rule('me', { paths: ['/users/me'] }),
      rule('left', { paths: ['/{kind}/me/keys'] }),
    ],
    cases: [
      ['h', 'GET', '/users/me', 'me'],
      ['h', 'GET', '/users/7', 'one'],
      ['h', 'GET', '/users/7/keys', 'rest'],
      ['h', 'GET', '/users', 'rest'],
      ['h', 'GET', '/users/me/keys', 'rest'],
      ['h', 'GET', '/bots/me/keys', 'left'],
      ['h', 'GET', '/', undefined],
    ],
  },
  {
    name: 'a more specific path counts only with its method and host',
    rules: [
      rule('read', { paths: ['/orders/open'], methods: ['GET'] }),
      rule('one', { paths: ['/orders/{id}'] }),
      rule('all', {}),
    ],
    cases: [
      ['h', 'GET', '/orders/open', 'read'],
      ['h', 'DELETE', '/orders/open', 'one'],
      ['h', 'GET', '/', 'all'],
      ['h', 'GET', '/x/y/z', 'all'],
    ],
  },
  {
    name: 'exact host, longer wildcard, wildcard, none',
    rules: [
      rule('none', { paths: ['/a'] }),
      rule('wild', { paths: ['/a'], hosts: ['*.example.com'] }),
      rule('longer', { paths: ['/a'], hosts: ['*.b.example.com'] }),
      rule('exact', { paths: ['/a'], hosts: ['a.b.example.com', 'other'] }),
    ],
    cases: [
      ['a.b.example.com', 'GET', '/a', 'exact'],
      ['other', 'GET', '/a', 'exact'],
      ['c.b.example.com', 'GET', '/a', 'longer'],
      ['c.example.com', 'GET', '/a', 'wild'],
      ['example.com', 'GET', '/a', 'none'],
    ],
  },
  {
    name: 'methods: named, GET for HEAD, omitted',
    rules: [
      rule('any', { paths: ['/a', '/b'] }),
      rule('get', { paths: ['/a', '/b'], methods: ['GET'] }),
      rule('head', { paths: ['/b'], methods: ['HEAD'] }),
      rule('post', { paths: ['/c'], methods: ['POST'] }),
    ],
    cases: [
      ['h', 'GET', '/a', 'get'],
      ['h', 'HEAD', '/a', 'get'],
      ['h', 'HEAD', '/b', 'head'],
      ['h', 'POST', '/a', 'any'],
      ['h', 'HEAD', '/c', undefined],
      ['h', 'get', '/c', undefined],
    ],
  },
  {
    name: 'encoded octets match by what they decode to',
    rules: [rule('literal', { paths: ['/a:b/caf%C3%A9'] }), rule('rest', { paths: ['/**'] })],
    cases: [
      ['h', 'GET', '/a%3Ab/caf%C3%A9', 'literal'],
      ['h', 'GET', '/a:b/caf%C3%A9', 'literal'],
      ['h', 'GET', '/a%253Ab/caf%C3%A9', 'rest'],
    ],
  },
  {
    name: 'case and trailing slash are strict by default',
    rules: [rule('plain', { paths: ['/a'] }), rule('slash', { paths: ['/b/'] }), rule('rest', { paths: ['/c/**'] })],
    cases: [
      ['h', 'GET', '/a', 'plain'],
      ['h', 'GET', '/a/', undefined],
      ['h', 'GET', '/A', undefined],
      ['h', 'GET', '/b/', 'slash'],
      ['h', 'GET', '/b', undefined],
      ['h', 'GET', '/c/', 'rest'],
    ],
  },
];
for (const { name, rules, cases } of finding) {
  test(`find: ${name}`, () => {
    const { findRule } = evaluator(rules);
    const { findRule: reversed } = evaluator([...rules].reverse());
    for (const [host, method, path, expected] of cases) {
      assert.equal(findRule(host, path, method)?.name, expected, `${method} ${host}${path}`);
      assert.equal(reversed(host, path, method)?.name, expected, `${method} ${host}${path}, rules in reverse`);
    }
  });
}

test('find: case Insensitive folds ASCII letters and keeps the case of parameters; trailingSlash Ignore', () => {
  const { findRule } = evaluator([rule('one', { paths: ['/Users/{id}'] }), rule('k', { paths: ['/k/'] })], {
    pathMatching: { case: 'Insensitive', trailingSlash: 'Ignore', parameters: 'Refuse' },
  });
  assert.deepEqual({ ...findRule('h', '/uSERS/AbC/', 'GET')?.params }, { id: 'AbC' });
  assert.equal(findRule('h', '/K', 'GET')?.name, 'k');
  assert.equal(findRule('h', '/%E2%84%AA', 'GET'), null, 'the Kelvin sign is no k');
});

test('find: parameters are decoded once; a rule without any shares one match', () => {
  const { findRule } = evaluator([rule('two', { paths: ['/a/{x}/{y}'] }), rule('plain', { paths: ['/a'] })]);
  assert.deepEqual({ ...findRule('h', '/a/%252e/caf%C3%A9', 'GET')?.params }, { x: '%2e', y: 'café' });
  assert.equal(findRule('h', '/a', 'GET'), findRule('h', '/a', 'GET'));
  assert.equal(findRule('h', '/a', 'GET')?.params['constructor'], undefined);
});

const ME = { sub: 'u1', roles: ['trader'] };
const deciding: readonly (readonly [
  name: string,
  allow: AccessRule['allow'],
  claims: Record<string, unknown> | null,
  answer: string,
])[] = [
  ['anonymous lets anyone in', [{ anonymous: true }], null, 'Allow'],
  ['anonymous lets in who has an identity too', [{ anonymous: true }], ME, 'Allow'],
  ['authenticated without identity', [{ authenticated: true }], null, 'unauthenticated'],
  ['authenticated with identity', [{ authenticated: true }], {}, 'Allow'],
  ['any of the roles', [{ roles: ['admin', 'trader'] }], ME, 'Allow'],
  ['none of the roles', [{ roles: ['admin'] }], ME, 'forbidden'],
  ['a role as a string', [{ roles: ['admin'] }], { role: 'admin' }, 'Allow'],
  ['a string with a blank is one role', [{ roles: ['admin'] }], { role: 'admin trader' }, 'forbidden'],
  [
    'a role that the policy does not declare still counts as a role',
    [{ roles: ['guest'] }],
    { roles: ['guest'] },
    'Allow',
  ],
  ['all of the permissions', [{ permissions: ['orders:read', 'orders:write'] }], ME, 'Allow'],
  ['one permission missing', [{ permissions: ['orders:read', 'users:write'] }], ME, 'forbidden'],
  [
    'permissions of two roles add up',
    [{ permissions: ['orders:write', 'x'] }],
    { roles: ['trader', 'admin'] },
    'Allow',
  ],
  ['* grants everything', [{ permissions: ['never:declared'] }], { roles: ['admin'] }, 'Allow'],
  ['within one entry all must hold', [{ roles: ['trader'], permissions: ['users:write'] }], ME, 'forbidden'],
  ['any entry lets in', [{ roles: ['admin'] }, { when: 'claims.sub == path.id' }], ME, 'Allow'],
  ['a condition that does not hold', [{ when: 'claims.sub == "u2"' }], ME, 'forbidden'],
  ['a condition that errs denies and says so', [{ when: 'claims.absent == "x"' }], ME, 'condition_error'],
  [
    'an error in one entry does not undo another',
    [{ when: 'claims.absent == "x"' }, { roles: ['trader'] }],
    ME,
    'Allow',
  ],
  ['a condition alone needs an identity', [{ when: 'method == "GET"' }], null, 'unauthenticated'],
  ['an anonymous condition', [{ anonymous: true, when: 'source.ip == "192.0.2.1"' }], null, 'Allow'],
  ['an anonymous condition that errs', [{ anonymous: true, when: 'claims.sub == "x"' }], null, 'unauthenticated'],
  ['anonymous with roles needs the roles', [{ anonymous: true, roles: ['trader'] }], null, 'unauthenticated'],
  ['no entry', [], ME, 'forbidden'],
];
for (const [name, allow, claims, answer] of deciding) {
  test(`authorize: ${name}`, () => {
    const { findRule, authorize, identify } = evaluator([rule('r', { paths: ['/users/{id}'] }, allow)]);
    const match = findRule('h', '/users/u1', 'GET');
    assert.equal(authorize(match, claims === null ? null : identify(claims), facts()), answer);
  });
}

const LATE = Date.parse('2026-11-20T16:00:00-05:00');
const HOURS = { timezone: 'America/New_York', open: ['Mon-Fri 09:30-16:00'], closed: [] };
const order: readonly (readonly [
  name: string,
  claims: Record<string, unknown> | null,
  path: string,
  receivedAt: number,
  answer: string,
])[] = [
  ['all holds', { ...ME, tenant_id: 'acme' }, '/acme', LATE - 1, 'Allow'],
  ['nothing holds, without identity', null, '/evil', LATE, 'unauthenticated'],
  ['nothing holds', { tenant_id: 'acme' }, '/evil', LATE, 'forbidden'],
  ['tenant and schedule do not hold', { ...ME, tenant_id: 'acme' }, '/evil', LATE, 'tenant_mismatch'],
  ['the schedule does not hold', { ...ME, tenant_id: 'acme' }, '/acme', LATE, 'outside_schedule'],
  ['admins are not exempt from the tenant', { role: 'admin', tenant_id: 'acme' }, '/evil', LATE - 1, 'tenant_mismatch'],
  ['nor from the schedule', { role: 'admin', tenant_id: 'acme' }, '/acme', LATE, 'outside_schedule'],
];
for (const [name, claims, path, receivedAt, answer] of order) {
  test(`authorize: tenant and schedule: ${name}: ${answer}`, () => {
    const isolated = { tenant: { source: 'path', name: 'tenant' }, schedule: HOURS } as const;
    const { findRule, authorize, identify } = evaluator([
      { ...rule('r', { paths: ['/{tenant}'] }, [{ permissions: ['orders:write'] }]), ...isolated },
    ]);
    const identity = claims === null ? null : identify(claims);
    assert.equal(authorize(findRule('h', path, 'GET'), identity, facts({ receivedAt })), answer);
  });
}

test('authorize: a schedule closes what is open to everyone', () => {
  const { findRule, authorize } = evaluator([{ ...rule('r', {}), schedule: HOURS }]);
  assert.equal(authorize(findRule('h', '/', 'GET'), null, facts({ receivedAt: LATE - 1 })), 'Allow');
  assert.equal(authorize(findRule('h', '/', 'GET'), null, facts({ receivedAt: LATE })), 'outside_schedule');
});

test('authorize: no rule is 401 without identity, no_rule with one', () => {
  const { authorize, identify } = evaluator([]);
  assert.equal(authorize(null, null, facts()), 'unauthenticated');
  assert.equal(authorize(null, identify(ME), facts()), 'no_rule');
});

test('authorize: an identity of the policy before a reload is read again', () => {
  const before = evaluator([rule('r', {}, [{ permissions: ['secret'] }])]);
  const rules = [
    rule('other', { paths: ['/x'] }, [{ permissions: ['orders:write'] }]),
    rule('r', {}, [{ permissions: ['secret'] }]),
  ];
  const after = evaluator(rules, { roles: [{ name: 'trader', permissions: ['orders:write'] }] });
  const stale = before.identify({ roles: ['admin'] });
  assert.equal(before.authorize(before.findRule('h', '/', 'GET'), stale, facts()), 'Allow');
  assert.equal(after.authorize(after.findRule('h', '/', 'GET'), stale, facts()), 'forbidden');
});

test('allowsAnonymous: some entry is open to requests without identity', () => {
  const { allowsAnonymous, findRule } = evaluator([
    rule('open', { paths: ['/open'] }, [{ roles: ['admin'] }, { anonymous: true, when: 'method == "GET"' }]),
    rule('closed', { paths: ['/closed'] }, [{ authenticated: true }]),
    rule('both', { paths: ['/both'] }, [{ anonymous: true, roles: ['admin'] }]),
  ]);
  assert.equal(allowsAnonymous(findRule('h', '/open', 'GET')), true);
  assert.equal(allowsAnonymous(findRule('h', '/both', 'GET')), false);
  assert.equal(allowsAnonymous(findRule('h', '/closed', 'GET')), false);
  assert.equal(allowsAnonymous(null), false);
});

test('identify: first pointer that finds something, integers as text, the rest ignored', () => {
  const { identify } = evaluator([], {
    identity: { user: ['/sub', '/user/id'], roles: ['/roles', '/role'], tenant: ['/a~1b/m~0n'], tier: ['/tiers/1'] },
  });
  const cases: readonly (readonly [claims: Record<string, unknown>, user: string | null, roles: readonly string[]])[] =
    [
      [{ sub: 'a', user: { id: 'b' } }, 'a', []],
      [{ sub: '', user: { id: 42 } }, '42', []],
      [{ sub: 1.5 }, null, []],
      [{ sub: 2 ** 53 }, null, []],
      [{ sub: Number.NaN }, null, []],
      [{ sub: { id: 'x' } }, null, []],
      [{ sub: ['x'] }, null, []],
      [{ sub: true }, null, []],
      [{ user: 'id' }, null, []],
      [{ roles: ['a', 1, null, { b: 1 }, 'c', ''] }, null, ['a', '1', 'c']],
      [{ roles: [], role: 'admin' }, null, []],
      [{ roles: { admin: true }, role: 'viewer' }, null, ['viewer']],
      [{ roles: 'a b' }, null, ['a b']],
    ];
  for (const [claims, user, roles] of cases) {
    const identity = identify(claims);
    assert.deepEqual([identity.user, identity.roles], [user, roles], JSON.stringify(claims));
  }
  const identity = identify({ 'a/b': { 'm~n': 'acme' }, tiers: ['free', 'premium'] });
  assert.deepEqual([identity.tenant, identity.tierClaim], ['acme', 'premium']);
});

test('identify: pointers never reach inherited members', () => {
  const { identify } = evaluator([], {
    identity: { user: ['/constructor/name', '/roles/length'], roles: ['/__proto__'], tenant: [], tier: [] },
  });
  assert.equal(identify({ roles: ['a'] }).user, null);
  assert.equal(compileAccess(exampleAccessBundle).identify(Object.create({ sub: 'inherited' })).user, null);
});

test('a bundle that compile() would not have let through is refused', () => {
  const broken: readonly AccessRule[] = [
    rule('path', { paths: ['a'] }),
    rule('host', { hosts: ['A'] }),
    rule('cel', {}, [{ when: 'nonsense ==' }]),
    { ...rule('zone', {}), schedule: { ...HOURS, timezone: 'Mars/Olympus' } },
  ];
  for (const one of broken) {
    assert.throws(
      () => evaluator([one]),
      (error) =>
        error instanceof PortcullisError && error.code === 'bundle_invalid' && error.message.includes(one.name),
    );
  }
});

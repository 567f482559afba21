import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GenerateOptions } from './generate-policy.ts';
import { generate, policyOf, said } from './testing/generate.ts';

const bearer = [{ bearer: [] }];

describe('who is let in', () => {
  const none = { paths: {} };
  const cases: readonly {
    readonly name: string;
    readonly operation?: object;
    readonly root?: object;
    readonly method?: string;
    readonly permissions?: GenerateOptions['permissions'];
    readonly allow: unknown;
    readonly says?: RegExp;
  }[] = [
    { name: 'security: []', operation: { security: [] }, root: { security: bearer }, allow: [{ anonymous: true }] },
    {
      name: 'optional security',
      operation: { security: [{}, { bearer: [] }] },
      allow: [{ anonymous: true }],
      says: /security: note: security is optional/,
    },
    {
      name: 'nothing said, where other operations say something',
      operation: { extra: { security: bearer } },
      allow: [{ anonymous: true }],
      says: /note: says nothing of security and so lets everyone in/,
    },
    {
      name: 'nothing said anywhere: not everyone',
      operation: { tags: ['orders'] },
      allow: [{ permissions: ['orders:read'] }],
      says: /no operation says what it demands/,
    },
    {
      name: 'a tag',
      operation: { tags: ['My Orders'] },
      root: { security: bearer },
      allow: [{ permissions: ['my-orders:read'] }],
    },
    {
      name: 'a tag, writing',
      method: 'delete',
      operation: { tags: ['orders'] },
      root: { security: bearer },
      allow: [{ permissions: ['orders:write'] }],
    },
    {
      name: 'several tags',
      operation: { tags: ['orders', 'desk'] },
      root: { security: bearer },
      allow: [{ permissions: ['orders:read'] }],
      says: /tags: note: the first of several tags/,
    },
    { name: 'no tag', root: { security: bearer }, allow: [{ permissions: ['things:read'] }], says: /its path names/ },
    {
      name: 'scopes of one requirement are needed together, requirements are alternatives',
      operation: { security: [{ oauth: ['b', 'a'] }, { oauth: ['admin'], bearer: [] }] },
      allow: [{ permissions: ['a', 'b'] }, { permissions: ['admin'] }],
    },
    {
      name: 'a way without scopes would let in any token',
      operation: { security: [{ bearer: [] }, { oauth: ['a'] }] },
      allow: [{ permissions: ['a'] }],
      says: /those without scopes were left out/,
    },
    {
      name: 'scopes in words that are no permission',
      operation: { security: [{ oauth: ['read orders', 'read-orders', '*'] }] },
      allow: [{ permissions: ['read-orders', 'read-orders-2', 'scope'] }],
      says: /scope "read orders" is permission read-orders/,
    },
    {
      name: '--permissions tags',
      permissions: 'tags',
      operation: { tags: ['orders'], security: [{ oauth: ['a'] }] },
      allow: [{ permissions: ['orders:read'] }],
    },
    {
      name: '--permissions none',
      permissions: 'none',
      operation: { security: [{ oauth: ['a'] }] },
      allow: [{ authenticated: true }],
    },
  ];
  for (const { name, operation = {}, root = {}, method = 'get', permissions = 'scopes', allow, says } of cases) {
    it(name, () => {
      const { extra, ...rest } = operation as { extra?: object };
      const others = extra === undefined ? {} : { '/zz': { get: extra } };
      const generated = generate(
        { ...none, ...root, paths: { '/things': { [method]: rest }, ...others } },
        { permissions },
      );
      assert.deepEqual(policyOf(generated).spec.rules[0]?.allow, allow);
      if (says !== undefined) assert.match(said(generated), says);
    });
  }

  it('looks for tokens where the document does, as far as a JWT can stand there', () => {
    const get = { security: [{ session: [] }, { key: [] }] };
    const generated = generate({ paths: { '/a': { get } } }, { keySet: { name: 'trading', namespace: 'auth' } });
    assert.deepEqual(policyOf(generated).spec.authentication.jwt, [
      {
        name: 'trading',
        keySetRef: { name: 'trading', namespace: 'auth' },
        from: [{ header: 'Authorization', scheme: 'Bearer' }, { cookie: 'sid' }],
      },
    ]);
    assert.match(said(generated), /securitySchemes\/key: note: apiKey header: a signed token .* instead/);
  });

  it('writes no authentication where everyone is let in, and needs no key set', () => {
    const generated = generate({ paths: { '/a': { get: { security: [] } } } }, { keySet: null });
    assert.deepEqual(Object.keys(policyOf(generated).spec), ['mode', 'rules']);
  });
});

describe('rules', () => {
  it('are one for each path and access, named by operation, in the order of the document', () => {
    const paths = {
      '/orders': {
        parameters: [],
        get: { operationId: 'list orders!' },
        head: {},
        post: { operationId: 'place' },
        delete: { operationId: 'cancel' },
      },
      '/orders/{order-id}': { get: { operationId: 'place' } },
      '/x': { put: {} },
    };
    const { spec } = policyOf(generate({ security: bearer, servers: [{ url: 'https://h/api' }], paths }));
    assert.deepEqual(
      spec.rules.map(({ name, match }) => [name, match.paths, match.methods]),
      [
        ['list-orders', ['/api/orders'], ['GET', 'HEAD']],
        ['place', ['/api/orders'], ['POST', 'DELETE']],
        ['place-2', ['/api/orders/{order_id}'], ['GET']],
        ['put-api-x', ['/api/x'], ['PUT']],
      ],
    );
    assert.deepEqual(spec.roles, [
      { name: 'reader', permissions: ['orders:read'] },
      { name: 'writer', inherits: ['reader'], permissions: ['orders:write', 'x:write'] },
      { name: 'admin', inherits: ['writer'], permissions: ['*'] },
    ]);
  });

  it('--base-path replaces that of the servers', () => {
    const members = { paths: { '/a': { get: { security: [] } } }, servers: [{ url: 'https://h/{x}' }] };
    assert.match(said(generate(members)), /error: the path of its first server cannot be told; give --base-path/);
    assert.deepEqual(policyOf(generate(members, { basePath: '/v2' })).spec.rules[0]?.match.paths, ['/v2/a']);
  });

  it('of equal access and methods are put together where there are too many, 16 paths each, none lost', () => {
    const paths = Object.fromEntries(
      Array.from({ length: 130 }, (_, at) => [`/p${at}`, { get: { tags: [at % 2 ? 'a' : 'b'] } }]),
    );
    const generated = generate({ security: bearer, paths });
    const { rules } = policyOf(generated).spec;
    assert.deepEqual(
      rules.map(({ match }) => match.paths.length),
      [16, 16, 16, 16, 1, 16, 16, 16, 16, 1],
    );
    assert.equal(new Set(rules.flatMap(({ match }) => match.paths)).size, 130);
    assert.deepEqual(
      rules.slice(0, 2).map(({ name }) => name),
      ['b-read', 'b-read-2'],
    );
    assert.match(said(generated), /130 rules are more than the 128 of a policy.*10 are left/);
  });

  it('are refused where they stay too many', () => {
    const paths = Object.fromEntries(
      Array.from({ length: 129 }, (_, at) => [`/p${at}`, { get: { tags: [`t${at}`] } }]),
    );
    const generated = generate({ security: bearer, paths });
    assert.equal(generated.yaml, null);
    assert.match(said(generated), /error: 129 rules remain, and a policy holds 128; use --permissions none/);
    const { rules } = policyOf(generate({ security: bearer, paths }, { permissions: 'none' })).spec;
    assert.equal(rules.length, 9);
  });

  it('give roles of more than 64 permissions parts', () => {
    const paths = Object.fromEntries(
      Array.from({ length: 100 }, (_, at) => [`/p${at}`, { get: { tags: [`t${at}`] } }]),
    );
    const generated = generate({ security: bearer, paths });
    const { roles } = policyOf(generated).spec;
    assert.deepEqual(
      roles.map(({ name, inherits, permissions }) => [name, inherits ?? [], permissions?.length ?? 0]),
      [
        ['reader-1', [], 64],
        ['reader-2', [], 36],
        ['reader', ['reader-1', 'reader-2'], 0],
        ['writer', ['reader'], 0],
        ['admin', ['writer'], 1],
      ],
    );
    assert.match(said(generated), /role reader has 100 permissions, more than 64: it inherits 2 parts/);
  });

  it('give the reader nothing that writing needs', () => {
    const item = (scope: string) => ({ security: [{ oauth: [scope] }] });
    const paths = { '/a': { get: item('all') }, '/b': { get: item('see') }, '/c': { post: item('all') } };
    const [reader, writer] = policyOf(generate({ paths })).spec.roles;
    assert.deepEqual([reader?.permissions, writer?.permissions], [['see'], ['all']]);
  });

  it('tell what is left out, in the policy too', () => {
    const post = { security: [] };
    const paths = { '/a{b}': { post }, '/c': { post, trace: post, query: post }, '/d?x=1': { get: post } };
    const generated = generate({ paths, webhooks: { fill: {} } });
    assert.deepEqual(generated.counts, { operations: 2, rules: 2, leftOut: 3 });
    for (const line of [
      /f#\/paths\/~1a\{b\}\/post: note: no path pattern says this: "a\{b\}" is part text, part parameter/,
      /f#\/paths\/~1c\/trace: note: TRACE is refused/,
      /f#\/paths\/~1c\/query: note: no operation of OpenAPI/,
      /f#\/paths\/~1d\?x=1\/get: note: query and fragment are no part of a match/,
      /f#\/webhooks: note: /,
    ])
      assert.match(said(generated), line);
    assert.match(
      generated.yaml ?? '',
      /^# Left out, and refused where no rule above matches:\n# POST \/a\{b\}: no path pattern/m,
    );
    assert.deepEqual(
      policyOf(generated).spec.rules.map(({ match }) => match.paths),
      [['/c'], ['/d']],
    );
  });

  it('do not let in requests of what is left out', () => {
    const paths = (own: unknown, method = 'post') => ({
      '/files/{id}': { post: { security: bearer, tags: ['files'] }, get: { security: bearer, tags: ['files'] } },
      '/files/{id}:wipe': { [method]: { security: own, tags: ['files'] } },
    });
    const refused = generate({ paths: paths([{ oauth: ['admin'] }]) });
    assert.equal(refused.yaml, null);
    assert.match(said(refused), /:wipe\/post: error: .*#\/paths\/~1files~1\{id\}\/post takes its requests/);
    assert.equal(generate({ paths: paths([{ oauth: ['admin'] }], 'head') }).yaml, null);
    assert.notEqual(generate({ paths: paths([{ oauth: ['admin'] }], 'put') }).yaml, null);
    assert.notEqual(generate({ paths: paths(bearer) }).yaml, null);
  });

  it('say once what templates of one shape say', () => {
    const item = (security: unknown) => ({ get: { security } });
    const same = generate({ paths: { '/a/{x}': item(bearer), '/a/{y}': item(bearer) } });
    assert.equal(policyOf(same).spec.rules.length, 1);
    assert.match(said(same), /\{y\}\/get: note: the same requests as an operation above/);
    const other = generate({ paths: { '/a/{x}': item(bearer), '/a/{y}': item([]) } });
    assert.equal(other.yaml, null);
    assert.match(said(other), /\{y\}\/get: error: the same requests as #\/paths\/~1a~1\{x\}\/get, but lets in others/);
  });

  it('follow references of path items', () => {
    const paths = { '/a': { $ref: '#/components/pathItems/A' } };
    const components = { pathItems: { A: { get: { security: [], summary: 'An A' } } } };
    assert.match(generate({ paths, components }).yaml ?? '', /# GET \/a: An A\n {4}- name: get-a\n/);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AccessBundle, AccessRule, AllowEntry, LimitsBundle } from '../../policy/bundle/types.ts';
import { apiKeyHash, apiKeyOf } from '../../policy/credentials/api-key.ts';
import type { LogSink } from '../../runtime/log.ts';
import type { Policies } from '../enforcement-options.ts';
import { buildExchange } from '../engine/build-exchange.ts';
import { checkHead } from '../engine/check-head.ts';
import { RESCUE } from '../engine/rescue.ts';
import { NO_METRICS } from '../metrics/policy-metrics.ts';
import { buildPipeline } from '../pipeline/build-pipeline.ts';
import { runRequest } from '../pipeline/run-pipeline.ts';
import { memoryStores } from '../stores/open-stores.ts';
import { makeTestKey, mintToken, testAuthenticator, validClaims } from '../tokens/testing/token-fixtures.ts';
import { createTokenVerifier } from '../tokens/verifier.ts';
import { explain } from './explain.ts';
import { type ExplainRequest, renderExplanation } from './explanation.ts';

const NOW = 1_800_000_000_000;
const key = makeTestKey('HS256', 'k1');
const SILENT: LogSink = { stream: { write: () => {} }, write: () => {}, dropped: () => 0, close: () => {} };

/** Open at NOW, for a minute. */
const HOURS = { timezone: 'America/New_York', open: ['Fri 03:00-03:01'], closed: [] };

const access: AccessBundle = {
  kind: 'Access',
  namespace: 'shop',
  name: 'orders',
  serial: 1,
  mode: 'Enforce',
  store: null,
  clientIp: null,
  defaults: { store: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
  jwt: [testAuthenticator([key])],
  identity: { user: ['/sub'], roles: ['/roles'], tenant: ['/tenant_id'], tier: ['/tier'] },
  roles: [
    { name: 'trader', permissions: ['orders:read', 'orders:write'] },
    { name: 'viewer', permissions: ['orders:read'] },
  ],
  rules: [
    {
      name: 'orders',
      match: { hosts: [], paths: ['/orders'], methods: ['POST'] },
      allow: [{ permissions: ['orders:read', 'orders:write'] }, { when: 'claims.desk == "fx"' }],
    },
    {
      name: 'user',
      match: { hosts: [], paths: ['/users/{id}'], methods: [] },
      allow: [{ when: 'claims.sub == path.id' }],
    },
    { name: 'inner', match: { hosts: ['api.x'], paths: ['/in'], methods: ['GET'] }, allow: [{ anonymous: true }] },
    { name: 'open', match: { hosts: [], paths: ['/open'], methods: [] }, allow: [{ anonymous: true }] },
    {
      name: 'near',
      match: { hosts: [], paths: ['/near'], methods: [] },
      allow: [{ anonymous: true, when: 'source.ip == "10.0.0.1"' }],
    },
    {
      name: 'desk',
      match: { hosts: [], paths: ['/desks/{desk}'], methods: [] },
      allow: [{ authenticated: true }],
      tenant: { source: 'path', name: 'desk' },
      schedule: HOURS,
    },
    {
      name: 'report',
      match: { hosts: [], paths: ['/report'], methods: [] },
      allow: [{ authenticated: true }],
      tenant: { source: 'query', name: 'desk' },
    },
  ],
  pathMatching: { case: 'Sensitive', trailingSlash: 'Strict', parameters: 'Refuse' },
  cors: {
    origins: ['https://app.example'],
    methods: ['POST'],
    headers: [],
    exposeHeaders: [],
    credentials: true,
    maxAgeMs: 1_000,
  },
  securityHeaders: [],
  forward: { identityHeaders: true },
};

const limits: LimitsBundle = {
  kind: 'Limits',
  namespace: 'shop',
  name: 'standard',
  serial: 1,
  mode: 'Enforce',
  store: null,
  clientIp: null,
  defaults: { store: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
  tiers: [],
  limits: [
    {
      name: 'address',
      match: { hosts: [], paths: [], methods: [] },
      key: ['ip'],
      algorithm: 'TokenBucket',
      rates: { anonymous: { limit: 10, windowMs: 1_000 }, authenticated: { limit: 10, windowMs: 1_000 } },
      burst: 20,
      onStoreFailure: 'Allow',
    },
    {
      name: 'user',
      match: { hosts: [], paths: [], methods: ['POST'] },
      key: ['user'],
      algorithm: 'SlidingWindow',
      rates: { anonymous: { limit: 1, windowMs: 60_000 }, authenticated: null },
      burst: 0,
      onStoreFailure: 'Allow',
    },
  ],
  timeouts: { connectMs: 1, requestMs: 1, idleMs: 1 },
};

function policies(change: Partial<AccessBundle> = {}, withLimits: LimitsBundle | null = null): Policies {
  const bundle = { ...access, ...change };
  return { access: bundle, limits: withLimits, verifier: createTokenVerifier(bundle.jwt), issuesTokens: true };
}

function request(more: Partial<ExplainRequest>): ExplainRequest {
  return { method: 'GET', target: '/', host: 'localhost', headers: [], client: '192.0.2.1', credential: null, ...more };
}

/** The details of one layer. */
async function detailsOf(layer: string, more: Partial<ExplainRequest>, of = policies()): Promise<readonly string[]> {
  const { layers } = await explain(of, request(more), NOW);
  return layers.find((verdict) => verdict.layer === layer)?.details ?? [];
}

const trader = { credential: { claims: { sub: 'tom', roles: ['trader'] } } };
const viewer = { credential: { claims: { sub: 'ann', roles: ['viewer'] } } };

describe('explain', () => {
  const cases: readonly (readonly [
    name: string,
    layer: string,
    request: Partial<ExplainRequest>,
    details: readonly string[],
  ])[] = [
    ['a rule and its parameters', 'route', { target: '/users/%61nn' }, ['rule "user"', 'path.id = "ann"']],
    ['why no rule: the method', 'route', { target: '/orders' }, ['rule "orders" covers this path, but only for POST']],
    [
      'why no rule: method and host',
      'route',
      { target: '/in', method: 'PUT' },
      ['rule "inner" covers this path, but only for GET and at api.x'],
    ],
    ['why no rule: nothing is near', 'route', { target: '/nowhere' }, ['no rule covers the path /nowhere']],
    ['no token', 'authenticate', { target: '/open' }, ['no token']],
    [
      'a bad token where none is needed',
      'authenticate',
      { target: '/open', credential: { token: 'x' } },
      ['token refused: malformed; ignored, because the rule lets in anonymous requests'],
    ],
    [
      'a bad token where one is needed',
      'authenticate',
      { target: '/orders', method: 'POST', credential: { token: mintToken(key, validClaims(NOW - 1e9)) } },
      ['token refused: expired'],
    ],
    [
      'a good token',
      'authenticate',
      { target: '/open', credential: { token: mintToken(key, validClaims(NOW, { tenant_id: 7 })) } },
      ['token of "trading", key k1', 'user alice, roles none, tenant 7'],
    ],
    [
      'an entry that holds',
      'authorize',
      { ...trader, target: '/orders', method: 'POST' },
      [
        'allow[0] {"permissions":["orders:read","orders:write"]}: yes',
        'allow[1] {"when":"claims.desk == \\"fx\\""}: no, when claims.desk == "fx": error: No such key: desk',
      ],
    ],
    [
      'what is missing',
      'authorize',
      { ...viewer, target: '/orders', method: 'POST' },
      [
        'allow[0] {"permissions":["orders:read","orders:write"]}: no, lacks orders:write',
        'allow[1] {"when":"claims.desk == \\"fx\\""}: no, when claims.desk == "fx": error: No such key: desk',
      ],
    ],
    [
      'nobody',
      'authorize',
      { target: '/users/ann' },
      ['allow[0] {"when":"claims.sub == path.id"}: no, needs an identity'],
    ],
    [
      'nobody, and a condition open to nobody',
      'authorize',
      { target: '/near' },
      ['allow[0] {"anonymous":true,"when":"source.ip == \\"10.0.0.1\\""}: no, when source.ip == "10.0.0.1": false'],
    ],
    [
      'the address counts',
      'authorize',
      { target: '/near', client: '10.0.0.1' },
      ['allow[0] {"anonymous":true,"when":"source.ip == \\"10.0.0.1\\""}: yes'],
    ],
    [
      'the tenant and the local time',
      'authorize',
      { target: '/desks/fx', credential: { claims: { tenant_id: 'fx' } } },
      [
        'allow[0] {"authenticated":true}: yes',
        'tenant path.desk = "fx", the identity\'s is "fx": yes',
        'schedule {"timezone":"America/New_York","open":["Fri 03:00-03:01"],"closed":[]} at Fri 2027-01-15 03:00: open',
      ],
    ],
    [
      'another tenant',
      'authorize',
      { target: '/report?desk=rates', credential: { claims: { tenant_id: 'fx' } } },
      ['allow[0] {"authenticated":true}: yes', 'tenant query.desk = "rates", the identity\'s is "fx": no'],
    ],
    [
      'a tenant that is not clear, for nobody',
      'authorize',
      { target: '/report?desk=fx&desk=fx' },
      [
        'allow[0] {"authenticated":true}: no, needs an identity',
        'tenant query.desk: error: a query parameter that an expression reads occurs more than once, there is no identity: no',
      ],
    ],
    ['no rule allows nothing', 'authorize', { ...trader }, ['no rule, and what no rule allows is refused']],
    [
      'a preflight',
      'cors',
      {
        method: 'OPTIONS',
        headers: [
          ['origin', 'https://app.example'],
          ['access-control-request-method', 'POST'],
        ],
      },
      ['answered here with 204'],
    ],
    ['ambiguous HTTP', 'http', { target: '/a%2fb' }, ['The path has an ambiguous or forbidden form.']],
    ['no HTTP', 'http', { target: '/a b' }, ['The request is not well-formed HTTP/1.1.']],
  ];
  for (const [name, layer, asked, details] of cases) {
    it(name, async () => assert.deepEqual(await detailsOf(layer, asked), details));
  }

  it('a cookie identity and the origin', async () => {
    const cookie = policies({ jwt: [testAuthenticator([key], { from: [{ kind: 'cookie', cookie: 'session' }] })] });
    const asked = { ...trader, target: '/orders', method: 'POST' };
    assert.deepEqual(await detailsOf('csrf', asked, cookie), ['cookie identity without a trusted origin']);
    const same = { ...asked, headers: [['origin', 'http://localhost']] } as const;
    assert.deepEqual(await detailsOf('csrf', same, cookie), ['the origin is trusted']);
  });

  it('the limits that would count, and under which key; a refused token spends the anonymous rate', async () => {
    const both = policies({}, limits);
    const asked = { target: '/orders', method: 'POST' };
    assert.deepEqual(await detailsOf('limit-by-address', asked, both), [
      'limit "address": 10 in 1 s (TokenBucket, burst 20), counted as shop/standard/address/*/192.0.2.1',
    ]);
    const anonymous = 'limit "user": 1 in 60 s (SlidingWindow), counted as shop/standard/user/anonymous/ip=192.0.2.1';
    assert.deepEqual(await detailsOf('limit-by-subject', asked, both), ['tier anonymous', anonymous]);
    assert.deepEqual(await detailsOf('limit-by-subject', { ...asked, ...trader }, both), ['no limit applies']);
    const refused = { ...asked, credential: { token: 'x' } };
    assert.deepEqual(await detailsOf('authenticate', refused, both), ['token refused: malformed', anonymous]);
  });

  it('in Shadow every layer is asked, and the request goes on', async () => {
    const explanation = await explain(
      policies({ mode: 'Shadow' }),
      request({ target: '/orders', method: 'POST' }),
      NOW,
    );
    assert.deepEqual([explanation.status, explanation.code], [null, null]);
    assert.match(
      renderExplanation(explanation),
      /^authorize: token_missing \(mode Shadow: not carried out\)$[\s\S]*^result: forwarded to the application$/m,
    );
  });

  it('a policy that authenticates nobody says so', async () => {
    assert.deepEqual(await detailsOf('authenticate', trader, policies({ jwt: [] })), [
      'the policy authenticates nobody',
    ]);
  });

  it('decides as the pipeline does, and leaves nothing behind (property)', async () => {
    const entry: fc.Arbitrary<AllowEntry> = fc.constantFrom<AllowEntry>(
      { anonymous: true },
      { authenticated: true },
      { roles: ['trader'] },
      { permissions: ['orders:write'] },
      { when: 'claims.sub == path.id' },
      { when: 'claims.missing == 1' },
      { anonymous: true, when: 'method == "GET"' },
    );
    const rules: fc.Arbitrary<AccessRule[]> = fc.array(
      fc.record(
        {
          name: fc.constant('r'),
          match: fc.record({
            hosts: fc.subarray(['a.x', '*.x']),
            paths: fc.subarray(['/a', '/{id}', '/**', '/a/b'], { minLength: 1 }),
            methods: fc.subarray(['GET', 'POST']),
          }),
          allow: fc.array(entry, { minLength: 1, maxLength: 3 }),
          tenant: fc.constant({ source: 'path', name: 'id' } as const),
          schedule: fc.constantFrom(HOURS, { ...HOURS, open: ['Sat 00:00-24:00'] }),
        },
        { requiredKeys: ['name', 'match', 'allow'] },
      ),
      { maxLength: 4 },
    );
    const token = (claims: object): string => mintToken(key, validClaims(NOW, { ...claims }));
    const asked: fc.Arbitrary<ExplainRequest> = fc.record({
      method: fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'TRACE'),
      target: fc.constantFrom('/a', '/tom', '/a/b', '/a/../tom', '/%zz', '/a?x#y'),
      host: fc.constantFrom('a.x', 'b.x', 'y', 'not a host'),
      client: fc.constant('192.0.2.1'),
      headers: fc.subarray<readonly [string, string]>([
        ['origin', 'https://evil.example'],
        ['access-control-request-method', 'POST'],
      ]),
      credential: fc.constantFrom(
        null,
        { token: token({ sub: 'tom', tenant_id: 'tom', roles: ['trader'] }) },
        { token: token({ sub: 'tom' }) },
        { token: 'nonsense' },
      ),
    });
    const header = { kind: 'header', header: 'authorization', scheme: 'Bearer' } as const;
    const cookie = { kind: 'cookie', cookie: 'session' } as const;
    const place = fc.constantFrom(header, cookie);
    // What chance seldom makes.
    const tom = (
      allow: AllowEntry,
      more: Partial<ExplainRequest> = {},
      restricted: Pick<AccessRule, 'tenant' | 'schedule'> = {},
    ): [AccessRule[], ExplainRequest] => [
      [{ name: 'r', match: { hosts: [], paths: ['/a'], methods: [] }, allow: [allow], ...restricted }],
      {
        ...{ method: 'GET', target: '/a', host: 'a.x', client: '192.0.2.1', headers: [] },
        credential: { token: token({ sub: 'tom' }) },
        ...more,
      },
    ];
    const evil: ExplainRequest['headers'] = [['origin', 'https://evil.example']];
    const examples: [AccessRule[], ExplainRequest, typeof header | typeof cookie, 'Enforce'][] = [
      [...tom({ roles: ['trader'] }), header, 'Enforce'],
      [...tom({ when: 'claims.missing == 1' }), header, 'Enforce'],
      [...tom({ authenticated: true }, { method: 'POST', headers: evil }), cookie, 'Enforce'],
      [...tom({ authenticated: true }, {}, { tenant: { source: 'query', name: 't' } }), header, 'Enforce'],
      [...tom({ anonymous: true }, {}, { schedule: { ...HOURS, open: ['Sat 00:00-24:00'] } }), header, 'Enforce'],
    ];
    const mode = fc.constantFrom('Enforce' as const, 'Shadow' as const);
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(rules, asked, place, mode, async (changed, sent, from, asMode) => {
        const jwt = [testAuthenticator([key], { from: [from] })];
        const inForce = policies({ rules: changed, jwt, mode: asMode }, limits);
        const explanation = await explain(inForce, sent, NOW);

        if (sent.credential !== null && 'token' in sent.credential) {
          const verdict = await inForce.verifier.verify(sent.credential.token, NOW);
          assert.ok(typeof verdict === 'string' || verdict.identity === null, 'requests share it');
        }
        const decided = await decideForReal(inForce, sent);
        assert.deepEqual([explanation.status, explanation.code], decided);
        seen.set(String(decided[1]), (seen.get(String(decided[1])) ?? 0) + 1);
      }),
      { numRuns: 600, examples },
    );
    const codes = [
      'null',
      'forbidden',
      'no_rule',
      'token_missing',
      'token_invalid',
      'condition_error',
      'tenant_mismatch',
      'outside_schedule',
      'origin_mismatch',
    ];
    for (const code of codes) assert.ok(seen.has(code), `no example of ${code}`);
  });
});

describe('explain: credentials that are no tokens', () => {
  const apiKey = apiKeyOf(Buffer.alloc(24, 7));
  const ann = { subject: 'ann', roles: ['trader'], tenant: null, tier: null, expiresAt: null };
  const { jwt: _, ...rest } = access;
  const policies: Policies = {
    access: {
      ...rest,
      jwt: [],
      apiKeys: [{ name: 'people', header: 'x-api-key', keys: [{ ...ann, sha256: apiKeyHash(apiKey) }] }],
    },
    limits: null,
    verifier: createTokenVerifier([]),
    issuesTokens: false,
  };
  const layer = async (
    headers: readonly (readonly [string, string])[],
    credential: ExplainRequest['credential'] = null,
  ) => {
    const request = { method: 'GET', target: '/users/ann', host: 'api.x', headers, client: '192.0.2.1', credential };
    const { layers, code } = await explain(policies, request, NOW);
    return [code, layers.find((each) => each.layer === 'authenticate')?.details];
  };

  it('says which list accepted a key, and why one was refused, and shows no key', async () => {
    assert.deepEqual(await layer([['X-API-Key', apiKey]]), [
      null,
      ['API key of "people"', 'user ann, roles trader, tenant null'],
    ]);
    assert.deepEqual(await layer([['X-API-Key', `${apiKey}x`]]), ['api_key_invalid', ['refused: malformed']]);
    assert.deepEqual(await layer([]), ['token_missing', ['no credential']]);
  });

  it('takes claims where no issuer of tokens has a place for them', async () => {
    assert.deepEqual(await layer([], { claims: { sub: 'ann' } }), [
      null,
      ['claims taken as given', 'user ann, roles none, tenant null'],
    ]);
  });

  it('says that a token was revoked', async () => {
    const revocations = memoryStores();
    await revocations.revocationsOf('default/trading').revokeToken('gone', NOW + 60_000, NOW);
    const revoked: Policies = {
      access: { ...access, revocation: { onStoreFailure: 'Deny', maxStalenessMs: 1_000 } },
      limits: null,
      verifier: createTokenVerifier(access.jwt),
      issuesTokens: false,
      revocationsOf: revocations.revocationsOf,
    };
    const token = mintToken(key, validClaims(NOW, { jti: 'gone' }));
    const request = {
      method: 'GET',
      target: '/users/alice',
      host: 'api.x',
      headers: [],
      client: '192.0.2.1',
      credential: { token },
    };
    const { layers, code } = await explain(revoked, request, NOW);
    assert.equal(code, 'token_invalid');
    assert.deepEqual(layers.find((each) => each.layer === 'authenticate')?.details, [
      'token of "trading", key k1',
      'refused: revoked',
    ]);
  });
});

/** Status and code of a request as the engine would decide it, with counters that count. */
async function decideForReal(
  { access: bundle, limits: withLimits, verifier }: Policies,
  { method, target, host, headers, client, credential }: ExplainRequest,
): Promise<readonly [number | null, string | null]> {
  const fields = ['host', host, ...headers.flat()];
  const token = credential !== null && 'token' in credential ? credential.token : null;
  const from = bundle.jwt[0]?.from[0];
  if (token !== null && from?.kind === 'header') fields.push(from.header, `Bearer ${token}`);
  if (token !== null && from?.kind === 'cookie') fields.push('cookie', `${from.cookie}=${token}`);
  const pipeline = buildPipeline({
    access: bundle,
    limits: withLimits,
    stores: memoryStores(),
    bodies: null,
    verifier,
    metrics: NO_METRICS,
    sink: SILENT,
  });
  const head = checkHead({ method, target, minor: 1, fields });
  const exchange =
    typeof head === 'string'
      ? head
      : buildExchange(head, client, pipeline, () => 'id', { receivedAt: NOW, startedAt: 0 });
  if (typeof exchange === 'string') return [RESCUE[exchange].status, exchange];
  const decision = await runRequest(pipeline.filters, exchange, (_filter, error) => {
    throw error;
  });
  if (decision === undefined) return [null, null];
  return decision.kind === 'answer' ? [decision.status, null] : [RESCUE[decision.code].status, decision.code];
}

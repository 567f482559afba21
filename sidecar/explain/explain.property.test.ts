import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type {
  AccessBundle,
  AccessRule,
  AllowEntry,
  CredentialSource,
  LimitsBundle,
} from '../../policy/bundle/types.ts';
import { buildExchange } from '../engine/build-exchange.ts';
import { checkHead } from '../engine/check-head.ts';
import { RESCUE } from '../engine/rescue.ts';
import { NO_METRICS } from '../metrics/policy-metrics.ts';
import { buildPipeline } from '../pipeline/build-pipeline.ts';
import { runRequest } from '../pipeline/run-pipeline.ts';
import { memoryStores } from '../stores/open-stores.ts';
import { makeTestKey, mintToken, testAuthenticator, validClaims } from '../tokens/testing/token-fixtures.ts';
import { createTokenVerifier } from '../tokens/verifier.ts';
import { compileExplain } from './explain.ts';
import type { Decided, ExplainRequest } from './explanation.ts';

const RUNS = Number(process.env['FC_RUNS'] ?? 600);
const NOW = 1_800_000_000_000;
const key = makeTestKey('HS256', 'k1');
const defaults = { store: null, clientIp: { trustedHops: 0, trustedProxies: [] } };

/** Decides the client's address, which rules look at: the access policy says nothing of it. */
const limits: LimitsBundle = {
  ...{ kind: 'Limits', namespace: 'shop', name: 'standard', serial: 1, mode: 'Enforce', store: null, tiers: [] },
  clientIp: { trustedHops: 1, trustedProxies: [] },
  defaults,
  limits: [
    {
      name: 'all',
      match: { hosts: [], paths: [], methods: [] },
      key: ['ip'],
      algorithm: 'SlidingWindow',
      rates: { anonymous: { limit: 1, windowMs: 1_000 }, authenticated: { limit: 1, windowMs: 1_000 } },
      burst: 0,
      onStoreFailure: 'Deny',
    },
  ],
  timeouts: { connectMs: 1, requestMs: 1, idleMs: 1 },
};

const entry = fc.constantFrom<AllowEntry>(
  { anonymous: true },
  { authenticated: true },
  { roles: ['trader'] },
  { permissions: ['orders:write'] },
  { when: 'claims.sub == path.id' },
  { when: 'claims.missing == 1' },
  { anonymous: true, when: 'source.ip == "10.0.0.1"' },
);
const rules: fc.Arbitrary<AccessRule[]> = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    match: fc.record({
      hosts: fc.subarray(['a.x', '*.x']),
      paths: fc.subarray(['/a', '/{id}', '/**', '/a/b'], { minLength: 1 }),
      methods: fc.subarray(['GET', 'POST']),
    }),
    allow: fc.array(entry, { minLength: 1, maxLength: 3 }),
  }),
  { selector: ({ name }) => name, maxLength: 4 },
);
const SOURCES: readonly CredentialSource[] = [
  { kind: 'header', header: 'authorization', scheme: 'Bearer' },
  { kind: 'header', header: 'x-token', scheme: '' },
  { kind: 'cookie', cookie: 'session' },
];
const claims = fc.constantFrom<Record<string, unknown> | null>(
  null,
  { sub: 'tom', roles: ['trader'] },
  { sub: 'tom' },
  { sub: 'ann', roles: ['writer'] },
);
const asked = fc.record({
  method: fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'TRACE'),
  target: fc.constantFrom('/a', '/tom', '/a/b', '/a/../tom', '/%zz', '/a?x#y', '*'),
  host: fc.constantFrom('a.x', 'b.x', 'y', 'not a host'),
  client: fc.constantFrom('192.0.2.1', '10.0.0.1'),
  headers: fc.subarray<readonly [string, string]>([
    ['origin', 'https://app.example'],
    ['access-control-request-method', 'POST'],
    ['x-forwarded-for', '10.0.0.1'],
    ['authorization', 'Bearer nonsense'],
  ]),
});

function accessOf(changed: AccessRule[], from: CredentialSource): AccessBundle {
  return {
    ...{ kind: 'Access', namespace: 'shop', name: 'orders', serial: 1, mode: 'Enforce', store: null, clientIp: null },
    defaults,
    jwt: [testAuthenticator([key], { from: [from] })],
    identity: { user: ['/sub'], roles: ['/roles'], tenant: [], tier: [] },
    roles: [
      { name: 'trader', permissions: ['orders:read'] },
      { name: 'writer', permissions: ['orders:write'] },
    ],
    rules: changed,
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
}

it('decides claims as the sidecar decides a token that carries them, and as explain says (property)', async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      rules,
      fc.constantFrom(...SOURCES),
      fc.array(fc.tuple(asked, claims), { minLength: 1, maxLength: 6 }),
      async (changed, from, requests) => {
        const access = accessOf(changed, from);
        const verifier = createTokenVerifier(access.jwt);
        const { decide, explain } = await compileExplain({ access, limits, verifier, issuesTokens: true });
        for (const [base, given] of requests) {
          const credential = given === null ? null : { claims: validClaims(NOW, given) };
          const request: ExplainRequest = { ...base, credential };
          const outcome = await decide(request, NOW);
          assert.deepEqual(outcome, await decideForReal(access, request));
          const { status, code, rule } = await explain(request, NOW);
          assert.deepEqual(outcome, { status, code, rule });
          seen.add(String(outcome.code));
        }
      },
    ),
    { numRuns: RUNS },
  );
  for (const code of ['null', 'token_missing', 'token_invalid', 'no_rule', 'forbidden', 'origin_mismatch', 'bad_path'])
    assert.ok(seen.has(code), `no example of ${code}`);
});

/** What the sidecar does with a real token and counters that count, but have counted nothing yet. */
async function decideForReal(access: AccessBundle, request: ExplainRequest): Promise<Decided> {
  const { method, target, host, headers, client, credential } = request;
  const fields = ['host', host, ...headers.flat()];
  const from = access.jwt[0]?.from[0];
  if (credential !== null && 'claims' in credential && from !== undefined) {
    const token = mintToken(key, credential.claims);
    if (from.kind === 'cookie') fields.push('cookie', `${from.cookie}=${token}`);
    else if (from.kind === 'header') fields.push(from.header, `${from.scheme} ${token}`.trim());
  }
  const pipeline = buildPipeline({
    access,
    limits,
    stores: memoryStores(),
    bodies: null,
    verifier: createTokenVerifier(access.jwt),
    metrics: NO_METRICS,
    sink: { stream: { write: () => {} }, write: () => {}, dropped: () => 0, close: () => {} },
  });
  const head = checkHead({ method, target, minor: 1, fields });
  const exchange =
    typeof head === 'string'
      ? head
      : buildExchange(head, client, pipeline, () => 'id', { receivedAt: NOW, startedAt: 0 });
  if (typeof exchange === 'string') return { status: RESCUE[exchange].status, code: exchange, rule: null };
  const decision = await runRequest(pipeline.filters, exchange, (_filter, error) => {
    throw error;
  });
  const rule = exchange.rule?.name ?? null;
  if (decision?.kind === 'deny') return { status: RESCUE[decision.code].status, code: decision.code, rule };
  return { status: decision?.status ?? null, code: null, rule };
}

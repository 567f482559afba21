import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { AccessBundle, LimitsBundle } from '../../policy/bundle/types.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import type { UpstreamBehaviour } from '../support/recording-upstream.ts';
import { rule, type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const RUNS = Number(process.env['FC_RUNS'] ?? 400);

const ACCESS: Partial<AccessBundle> = {
  rules: [
    rule('public', ['/public/**'], [{ anonymous: true }]),
    rule('orders', ['/orders', '/orders/{id}'], [{ roles: ['admin'] }]),
    rule('own', ['/users/{id}'], [{ when: 'claims.sub == path.id' }]),
    {
      ...rule('notes', ['/notes'], [{ anonymous: true }]),
      body: {
        contentTypes: ['application/json'],
        maxBytes: 64,
        schema: { type: 'object', required: ['a'] },
        rules: [],
      },
    },
  ],
  securityHeaders: [['x-frame-options', 'DENY']],
};

const LIMITS: Partial<LimitsBundle> = {
  limits: [
    {
      name: 'roomy',
      match: { hosts: [], paths: [], methods: [] },
      key: ['ip'],
      algorithm: 'FixedWindow',
      rates: {
        anonymous: { limit: 1_000_000, windowMs: 3_600_000 },
        authenticated: { limit: 1_000_000, windowMs: 3_600_000 },
      },
      burst: 0,
      onStoreFailure: 'LocalShare',
    },
  ],
};

const REFUSES_ALL: Partial<AccessBundle> = { rules: [] };
const TIGHT: Partial<LimitsBundle> = {
  limits: LIMITS.limits!.map((limit) => ({
    ...limit,
    name: 'tight',
    rates: { anonymous: { limit: 1, windowMs: 3_600_000 }, authenticated: { limit: 1, windowMs: 3_600_000 } },
  })),
};

/** Candidates that would decide otherwise, look at bodies that nobody reads, add headers, or cannot decide at all. */
const CANDIDATES: readonly { readonly name: string; access: Partial<AccessBundle>; limits: Partial<LimitsBundle> }[] = [
  { name: 'the same', access: ACCESS, limits: LIMITS },
  { name: 'nothing is allowed', access: REFUSES_ALL, limits: TIGHT },
  {
    name: 'bodies, headers, CORS and another way to read paths',
    access: {
      rules: [
        {
          ...rule('everything', ['/**'], [{ anonymous: true }]),
          body: { contentTypes: ['text/plain'], maxBytes: 4, schema: null, rules: [] },
        },
      ],
      securityHeaders: [['x-candidate', '1']],
      cors: {
        origins: ['https://app.example'],
        methods: ['GET'],
        headers: [],
        exposeHeaders: [],
        credentials: false,
        maxAgeMs: 1_000,
      },
      pathMatching: { case: 'Insensitive', trailingSlash: 'Ignore', parameters: 'Refuse' },
    },
    limits: { ...TIGHT, mode: 'Shadow' },
  },
  {
    name: 'conditions that fail',
    access: { rules: [rule('odd', ['/**'], [{ anonymous: true, when: 'claims.none.none == path.none' }])] },
    limits: { ...TIGHT, tiers: [{ name: 'odd', when: 'claims.none.none == 1' }] },
  },
];

const requests = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'OPTIONS'),
  path: fc.constantFrom(
    '/',
    '/public/a',
    '/orders',
    '/orders/7',
    '/users/alice',
    '/notes',
    '/notes/',
    '/x;a=b',
    '/a%2fb',
  ),
  token: fc.constantFrom('none', 'good', 'admin', 'expired', 'garbage'),
  origin: fc.constantFrom('', 'https://app.example'),
  body: fc.constantFrom('', '{"a":1}', '{"b":1}', 'x'.repeat(100)),
  chunked: fc.boolean(),
});
type Request = typeof requests extends fc.Arbitrary<infer T> ? T : never;

/** Says what reached it. */
const application: UpstreamBehaviour = ({ startLine, headers, body }, socket) => {
  const seen = headers.filter(([name]) => name !== 'x-request-id' && name !== 'authorization');
  const text = startLine.startsWith('HEAD') ? '' : JSON.stringify([startLine, seen, body]);
  const length = JSON.stringify([startLine, seen, body]).length;
  socket.write(`HTTP/1.1 200 OK\r\nx-candidate: app\r\ncontent-length: ${length}\r\n\r\n${text}`, 'latin1');
};

describe('candidates', { timeout: 60_000 + RUNS * 100 }, () => {
  let alone: SidecarUnderTest;
  let beside: SidecarUnderTest;
  before(async () => {
    alone = await startSidecarUnderTest({ access: ACCESS, limits: LIMITS });
    beside = await startSidecarUnderTest({
      access: ACCESS,
      limits: LIMITS,
      candidateAccess: REFUSES_ALL,
      candidateLimits: TIGHT,
    });
    alone.upstream.behave(application);
    beside.upstream.behave(application);
  });
  after(async () => {
    await alone.stop();
    await beside.stop();
  });

  for (const { name, access, limits } of CANDIDATES) {
    it(`change no answer: ${name}`, async () => {
      await beside.publish({ candidateAccess: access, candidateLimits: limits });
      const property = fc.asyncProperty(requests, async (request) => {
        const options = { bodiless: request.method === 'HEAD' };
        const expected = await unshed(alone.port, wire(request, alone), options);
        const answer = await unshed(beside.port, wire(request, beside), options);
        assert.deepEqual(essence(answer), essence(expected));
      });
      await fc.assert(property, { numRuns: RUNS / CANDIDATES.length });
      const metrics = await metricsOf(beside);
      assert.equal(counted(metrics, 'outcome="failed"'), 0);
      if (name === 'the same') assert.ok(counted(metrics, 'outcome="same"') > 0);
      else assert.ok(counted(metrics, 'outcome="different"') > 0);
    });
  }

  it('are refused when they cannot be used, and nothing else changes', async () => {
    const broken: Partial<AccessBundle> = { rules: [rule('x', ['no path'], [{ when: '((' }])] };
    await beside.publish({ candidateAccess: broken });
    const { access, candidateAccess } = beside.sidecar.status().bundles;
    assert.deepEqual([access?.error, candidateAccess?.error?.code], [null, 'bundle_invalid']);
    const ready = await send(beside.adminPort, 'GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', {
      untilClosed: true,
    });
    assert.equal(ready.status, 200);
    const answer = await send(beside.port, 'GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(answer.status, 200);
  });
});

/** A machine that is busy with something else makes sidecars shed load, whatever their policies. */
async function unshed(...asked: Parameters<typeof send>): Promise<RawAnswer> {
  for (;;) {
    const answer = await send(...asked);
    if (answer.status !== 503) return answer;
  }
}

function wire({ method, path, token, origin, body, chunked }: Request, sut: SidecarUnderTest): string {
  const tokens = {
    none: '',
    good: sut.token(),
    admin: sut.token({ roles: ['admin'] }),
    expired: sut.token({ iat: 1_000, exp: 1_300 }),
    garbage: 'e30.e30.e30',
  };
  let head = `${method} ${path} HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n`;
  if (token !== 'none') head += `Authorization: Bearer ${tokens[token]}\r\n`;
  if (origin !== '') head += `Origin: ${origin}\r\nAccess-Control-Request-Method: GET\r\n`;
  if (body === '') return `${head}\r\n`;
  head += 'Content-Type: application/json\r\n';
  if (!chunked) return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  return `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
}

/** What must be the same: everything but ids, and counters of limits that time alone moves. */
function essence({ status, headers, body }: RawAnswer): unknown {
  const { 'x-request-id': _id, ratelimit: _r, ...kept } = headers;
  return { status, kept, body: body.replace(/"requestId":"[^"]*"/, '') };
}

async function metricsOf({ adminPort }: SidecarUnderTest): Promise<string> {
  const request = 'GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  return (await send(adminPort, request, { untilClosed: true })).body;
}

function counted(metrics: string, label: string): number {
  const lines = metrics.split('\n').filter((line) => line.startsWith('portcullis_candidate_requests_total{'));
  return lines.filter((line) => line.includes(label)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

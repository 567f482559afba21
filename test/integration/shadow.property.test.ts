import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { AccessBundle, LimitsBundle, Mode } from '../../policy/bundle/types.ts';
import type { Message } from '../support/http-messages.ts';
import { type RawAnswer, send } from '../support/raw-http.ts';
import type { UpstreamBehaviour } from '../support/recording-upstream.ts';
import { rule, type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const RUNS = Number(process.env['FC_RUNS'] ?? 600);

/** A policy that refuses in every layer: one that lets through what the generator makes of it, and little else. */
function policies(mode: Mode): { readonly access: Partial<AccessBundle>; readonly limits: Partial<LimitsBundle> } {
  return {
    access: {
      mode,
      rules: [
        rule('public', ['/public/**'], [{ anonymous: true }]),
        rule('orders', ['/orders', '/orders/{id}'], [{ roles: ['admin'] }]),
        rule('own', ['/users/{id}'], [{ when: 'claims.sub == path.id' }]),
      ],
      cors: {
        origins: ['https://app.example'],
        methods: ['GET'],
        headers: ['authorization'],
        exposeHeaders: ['x-request-id'],
        credentials: true,
        maxAgeMs: 60_000,
      },
      securityHeaders: [['x-frame-options', 'DENY']],
    },
    limits: {
      mode,
      limits: [
        {
          name: 'tight',
          match: { hosts: [], paths: ['/orders', '/orders/{id}', '/public/**'], methods: [] },
          key: ['ip'],
          algorithm: 'FixedWindow',
          rates: { anonymous: { limit: 3, windowMs: 3_600_000 }, authenticated: { limit: 3, windowMs: 3_600_000 } },
          burst: 0,
          onStoreFailure: 'LocalShare',
        },
      ],
    },
  };
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly host: string;
  readonly token: 'none' | 'good' | 'admin' | 'expired' | 'garbage' | 'forged';
  readonly origin: string;
  readonly body: string;
  readonly chunked: boolean;
}

const requests: fc.Arbitrary<Request> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'),
  path: fc.constantFrom('/', '/public/a', '/orders', '/orders/7', '/users/alice', '/users/bob', '/unknown/deep/path'),
  query: fc.constantFrom('', '?a=b', '?symbol=%2f..%2f'),
  host: fc.constantFrom('api.example', 'other.example:8080'),
  token: fc.constantFrom('none', 'good', 'admin', 'expired', 'garbage', 'forged'),
  origin: fc.constantFrom('', 'https://app.example', 'https://evil.example'),
  body: fc.string({ maxLength: 40, unit: 'binary-ascii' }),
  chunked: fc.boolean(),
});

/** Answers as a function of the request alone, with the headers that policies of ours would set. */
const application: UpstreamBehaviour = ({ startLine, body }: Message, socket) => {
  const [method = '', target = ''] = startLine.split(' ');
  const kind = (target.length + body.length + method.length) % 5;
  const status = ['200 OK', '201 Created', '404 Not Found', '500 Internal Server Error', '204 No Content'][
    kind
  ] as string;
  const text = kind === 4 ? '' : `${method} ${target} ${body}`;
  const framing =
    kind === 4 ? '' : kind === 2 ? 'transfer-encoding: chunked\r\n' : `content-length: ${text.length}\r\n`;
  const headers =
    'server: app\r\nx-frame-options: SAMEORIGIN\r\nratelimit: mine\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n';
  const wire = kind === 2 ? `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n` : text;
  socket.write(
    `HTTP/1.1 ${status}\r\n${headers}access-control-allow-origin: *\r\n${framing}\r\n${method === 'HEAD' ? '' : wire}`,
    'latin1',
  );
};

describe('mode Shadow', { timeout: 60_000 + RUNS * 50 }, () => {
  let shadow: SidecarUnderTest;
  let enforce: SidecarUnderTest;
  before(async () => {
    shadow = await startSidecarUnderTest(policies('Shadow'));
    enforce = await startSidecarUnderTest(policies('Enforce'));
    shadow.upstream.behave(application);
    enforce.upstream.behave(application);
  });
  after(async () => {
    await shadow.stop();
    await enforce.stop();
  });

  it('changes no answer, while the same policies in Enforce would have refused', async () => {
    let answers = 0;
    let enforcedDenials = 0;
    const property = fc.asyncProperty(requests, async (request) => {
      const options = { bodiless: request.method === 'HEAD' };
      const direct = await send(shadow.upstream.port, wire(request, shadow), options);
      const shadowed = await send(shadow.port, wire(request, shadow), options);
      assert.deepEqual(essence(shadowed), essence(direct));
      const enforced = await send(enforce.port, wire(request, enforce), options);
      answers++;
      if (JSON.stringify(essence(enforced)) === JSON.stringify(essence(direct))) return;
      const refused = [401, 403, 429].includes(enforced.status) && enforced.headers['x-request-id'] !== undefined;
      if (refused) enforcedDenials++;
      const entry = JSON.parse(shadow.log().at(-1) ?? '{}');
      if (refused) assert.ok(Array.isArray(entry.shadow), `no shadow denial in the log for ${enforced.status}`);
    });
    await fc.assert(property, { numRuns: RUNS, verbose: 1 });
    console.log(`  ${answers} requests, ${enforcedDenials} of which Enforce refused`);
    assert.ok(enforcedDenials > answers / 3, `only ${enforcedDenials} of ${answers} would have been refused`);

    const metrics = (
      await send(shadow.adminPort, 'GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', {
        untilClosed: true,
      })
    ).body;
    for (const layer of ['authenticate', 'limit', 'authorize']) {
      const counted = Number(
        new RegExp(`^portcullis_shadow_denials_total\\{layer="${layer}"\\} (\\d+)$`, 'm').exec(metrics)?.[1],
      );
      const logged = shadow
        .log()
        .flatMap((line) => JSON.parse(line).shadow ?? [])
        .filter((denial) => denial.layer === layer);
      assert.ok(counted > 0, `no shadow denials counted for ${layer}`);
      assert.equal(counted, logged.length, `${layer}: metric and log agree`);
    }
  });

  const malformed: readonly (readonly [name: string, bytes: string, status: number])[] = [
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', 400],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['an encoded slash', 'GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['two Authorizations', 'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a b\r\nAuthorization: c d\r\n\r\n', 400],
    ['a bad media type', 'GET / HTTP/1.1\r\nHost: a\r\nContent-Type: json\r\n\r\n', 415],
  ];
  for (const [name, bytes, status] of malformed) {
    it(`malformed HTTP is refused all the same: ${name}`, async () => {
      shadow.upstream.clear();
      const answer = await send(shadow.port, bytes, { untilClosed: true });
      assert.deepEqual([answer.status, answer.closed, shadow.upstream.requests.length], [status, true, 0]);
    });
  }
});

function wire({ method, path, query, host, token, origin, body, chunked }: Request, sut: SidecarUnderTest): string {
  let head = `${method} ${path}${query} HTTP/1.1\r\nHost: ${host}\r\n`;
  const credentials = tokenOf(token, sut);
  if (credentials !== '') head += `Authorization: Bearer ${credentials}\r\n`;
  if (origin !== '') head += `Origin: ${origin}\r\nAccess-Control-Request-Method: GET\r\n`;
  if (body === '') return `${head}\r\n`;
  if (chunked)
    return `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`.replace(
      'Transfer-Encoding',
      'transfer-encoding',
    );
  return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
}

function tokenOf(kind: Request['token'], sut: SidecarUnderTest): string {
  switch (kind) {
    case 'none':
      return '';
    case 'good':
      return sut.token();
    case 'admin':
      return sut.token({ roles: ['admin'] });
    case 'expired':
      return sut.token({ iat: 1_000, exp: 1_300 });
    case 'garbage':
      return 'e30.e30.e30';
    case 'forged':
      return `${sut.token().slice(0, -8)}AAAAAAAA`;
  }
}

/** What of an answer must be the same: everything but our request id and what belongs to one hop. */
function essence({ status, headers, body, rest }: RawAnswer): unknown {
  const { 'x-request-id': _id, connection: _c, 'transfer-encoding': _te, 'keep-alive': _ka, ...kept } = headers;
  return { status, headers: kept, body, rest };
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TokensConfig } from '../../policy/bundle/types.ts';
import { send } from '../support/raw-http.ts';
import { recordingUpstream } from '../support/recording-upstream.ts';
import { startSidecarProcess } from '../support/sidecar-process.ts';
import { type PolicyUnderTest, rule, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const KEY = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', kid: 'a', alg: 'ES256', use: 'sig' } as const;
const TOKENS: TokensConfig = {
  keySet: 'test/keys',
  keySetSerial: 9,
  jwksPath: '/.well-known/jwks.json',
  jwksMaxAgeMs: 600_000,
  jwks: { keys: [KEY] },
};
/** Nothing but a role lets anybody in. */
const CLOSED = { rules: [rule('all', ['/**'], [{ roles: ['admin'] }])], tokens: TOKENS };
const MOST = 5;
const BY_ADDRESS: PolicyUnderTest['limits'] = {
  limits: [
    {
      name: 'by-address',
      match: { hosts: [], paths: [], methods: [] },
      key: ['ip'],
      algorithm: 'FixedWindow',
      rates: { anonymous: { limit: MOST, windowMs: 3_600_000 }, authenticated: { limit: MOST, windowMs: 3_600_000 } },
      burst: 0,
      onStoreFailure: 'Deny',
    },
  ],
};

function ask(path: string, more = '', method = 'GET'): string {
  return `${method} ${path} HTTP/1.1\r\nHost: api.example\r\n${more}\r\n`;
}

async function withSidecar(
  policy: PolicyUnderTest,
  run: (sidecar: Awaited<ReturnType<typeof startSidecarUnderTest>>) => Promise<void>,
): Promise<void> {
  const sidecar = await startSidecarUnderTest(policy);
  try {
    await run(sidecar);
  } finally {
    await sidecar.stop();
  }
}

describe('the JWKS of a sidecar', () => {
  it('answers everybody, with GET, HEAD and 304 on one connection, and asks the application nothing', () =>
    withSidecar({ access: { ...CLOSED, securityHeaders: [['x-frame-options', 'DENY']] } }, async (sut) => {
      const { status, headers, body } = await send(sut.port, ask(TOKENS.jwksPath, 'Authorization: Bearer x.y.z\r\n'));
      assert.equal(status, 200);
      assert.deepEqual(JSON.parse(body), { keys: [KEY] });
      assert.equal(headers['content-type'], 'application/jwk-set+json');
      assert.equal(headers['x-frame-options'], 'DENY');
      const age = Number(/^public, max-age=(\d+)$/.exec(headers['cache-control'] ?? '')?.[1]);
      assert.ok(age >= 300 && age <= 600, String(age));

      const head = await send(sut.port, ask(TOKENS.jwksPath, '', 'HEAD'), { bodiless: true });
      assert.deepEqual([head.status, head.headers['content-length'], head.rest], [200, String(body.length), '']);
      const again = ask(TOKENS.jwksPath, `If-None-Match: ${headers['etag']}\r\n`);
      const { responses, rest, ...first } = await send(sut.port, again + again + ask('/orders'), { answers: 3 });
      assert.deepEqual(
        responses.map(({ startLine }) => startLine),
        ['HTTP/1.1 304 Not Modified', 'HTTP/1.1 304 Not Modified', 'HTTP/1.1 401 Unauthorized'],
      );
      assert.equal(rest, '');
      assert.equal(first.headers['content-length'], undefined, 'RFC 9110 §8.6: it would be that of the whole');
      assert.deepEqual(sut.upstream.requests, []);
      assert.deepEqual(sut.sidecar.status().keySets['test/keys'], 9, 'it acknowledges the keys that it serves');
    }));

  it('is found by every way of writing its path, by no other, and leaves other methods to the rules', () =>
    withSidecar({ access: CLOSED }, async ({ port }) => {
      for (const [path, status] of [
        ['/x/../.well-known/jwks.json', 200],
        ['/%2ewell-known/jwks.json?x=1', 200],
        ['//.well-known//jwks.json', 200],
        ['/.well-known%2fjwks.json', 400],
        ['/.well-known/jwks.json/', 401],
        ['/.well-known/jwks.json;x', 400],
        ['/../.well-known/jwks.json', 400],
      ] as const)
        assert.equal((await send(port, ask(path))).status, status, path);
      assert.equal((await send(port, ask(TOKENS.jwksPath, 'Content-Length: 0\r\n', 'POST'))).status, 401);
    }));

  it('is 404 where the keys are secrets', () =>
    withSidecar({ access: { ...CLOSED, tokens: { ...TOKENS, jwks: null } } }, async ({ port }) => {
      const { status, body } = await send(port, ask(TOKENS.jwksPath));
      assert.deepEqual([status, JSON.parse(body).code], [404, 'symmetric_key_set']);
    }));

  it('is limited by address like anything else', () =>
    withSidecar({ access: CLOSED, limits: BY_ADDRESS }, async ({ port }) => {
      const statuses = [];
      for (let i = 0; i <= MOST; i++) statuses.push((await send(port, ask(TOKENS.jwksPath))).status);
      assert.deepEqual(statuses, [...Array(MOST).fill(200), 429]);
    }));

  it('leaves the application’s own in mode Shadow', () =>
    withSidecar({ access: { ...CLOSED, mode: 'Shadow' } }, async ({ port, upstream }) => {
      assert.match((await send(port, ask(TOKENS.jwksPath))).body, /saw/);
      assert.equal(upstream.requests.length, 1);
    }));

  it('changes with the bundle', () =>
    withSidecar({ access: CLOSED }, async ({ port, publish }) => {
      const before = await send(port, ask(TOKENS.jwksPath));
      await publish({ access: { ...CLOSED, tokens: { ...TOKENS, jwks: { keys: [KEY, { ...KEY, kid: 'b' }] } } } });
      const after = await send(port, ask(TOKENS.jwksPath, `If-None-Match: ${before.headers['etag']}\r\n`));
      assert.deepEqual(
        JSON.parse(after.body).keys.map(({ kid }: { kid: string }) => kid),
        ['a', 'b'],
      );
    }));

  for (const [issueTokens, status] of [
    [true, 200],
    [false, 401],
  ] as const) {
    it(`of a pod that issues ${issueTokens ? '' : 'no '}tokens: ${status}`, { timeout: 60_000 }, async (t) => {
      const upstream = await recordingUpstream();
      t.after(() => upstream.close());
      await using sidecar = await startSidecarProcess({
        upstreams: [upstream.port],
        policy: { access: CLOSED },
        issueTokens,
      });
      const { traffic, admin } = await sidecar.ports();
      assert.equal((await send(traffic[0] ?? 0, ask(TOKENS.jwksPath))).status, status);
      const { keySets } = JSON.parse((await send(admin, 'GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')).body);
      assert.equal(keySets['test/keys'], 9, 'either way it has the bundle with these keys');
      const { stdout } = await sidecar.exec('explain', 'GET', TOKENS.jwksPath);
      assert.match(stdout, issueTokens ? /\njwks: answer\n.*\nresult: 200\n$/ : /\nresult: 401 token_missing\n$/);
    });
  }
});

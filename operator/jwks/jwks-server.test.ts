import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Registry } from 'prom-client';
import type { VerificationKey } from '../../policy/bundle/types.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { JWKS_PROBLEMS } from './jwks-problem.ts';
import { JwksServer } from './jwks-server.ts';
import { PublishedKeySets } from './testing/published-key-sets.ts';

const PUBLIC = { kty: 'EC', crv: 'P-256', x: 'xx', y: 'yy' };
const SECRETS = ['d-secret', 'k-secret', 'p-secret'];
/** Whoever wrote these put private members where none belong. */
const ES256: VerificationKey = { kid: 'es', algorithm: 'ES256', jwk: { ...PUBLIC, d: 'd-secret', k: 'k-secret' } };
const RS256: VerificationKey = {
  kid: 'rs',
  algorithm: 'RS256',
  jwk: { kty: 'RSA', n: 'nn', e: 'AQAB', d: 'd-secret', p: 'p-secret' },
};
const HS256: VerificationKey = { kid: 'hs', algorithm: 'HS256', jwk: { kty: 'oct', k: 'k-secret' } };
const LEAKING = {
  kid: 'es',
  algorithm: 'ES256',
  privateJwk: { ...PUBLIC, d: 'd-secret' },
  maxTokenLifetimeMs: 1,
} as const;

function outputs(...verificationKeys: VerificationKey[]): KeySetOutputs {
  const keys = [{ ...PUBLIC, d: 'd-secret', kid: 'es', alg: 'ES256', use: 'sig' } as const];
  return { serial: 1, verificationKeys, jwks: { keys }, issuing: LEAKING, fernet: null };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe('JwksServer', () => {
  const caches = new PublishedKeySets();
  const registry = new Registry();
  let random = 0;
  const server = new JwksServer({ sources: caches, externalUrl: null, registry, random: () => random });
  let port = 0;

  before(async () => {
    caches.declare('auth', 'trading', { issuer: 'https://auth.example:8443/realms/trading/', jwksMaxAge: '600s' });
    caches.publish('auth', 'trading', outputs(ES256, RS256));
    caches.declare('auth', 'named', { issuer: 'trading' });
    caches.publish('auth', 'named', outputs(ES256));
    caches.declare('auth', 'secret', { algorithm: 'HS256' });
    caches.publish('auth', 'secret', outputs(HS256));
    caches.declare('auth', 'fernet', { algorithm: 'Fernet', issuer: undefined, audiences: undefined });
    caches.declare('auth', 'was-secret');
    caches.publish('auth', 'was-secret', outputs(HS256));
    caches.declare('auth', 'was-public', { algorithm: 'HS256' });
    caches.publish('auth', 'was-public', outputs(HS256, ES256));
    caches.declare('auth', 'new');
    caches.declare('auth', 'damaged');
    caches.publish('auth', 'damaged', '{"serial":1}');
    caches.publish('auth', 'orphan', outputs(ES256));
    caches.declare('a', 'twin', { issuer: 'https://twin.example' });
    caches.declare('b', 'twin', { issuer: 'https://TWIN.example/' });
    caches.publish('a', 'twin', outputs(ES256));
    port = await server.listen(0);
  });
  after(() => server.stop());

  function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path, headers, method, agent: false }, async (response) => {
        let body = '';
        for await (const chunk of response) body += String(chunk);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
      asked.on('error', reject).end();
    });
  }

  it('serves the public members of public keys, and nothing private wherever it stands', async () => {
    const { status, headers, body } = await ask('/jwks/auth/trading');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'application/jwk-set+json');
    assert.deepEqual(JSON.parse(body), {
      keys: [
        { ...PUBLIC, kid: 'es', alg: 'ES256', use: 'sig' },
        { kty: 'RSA', n: 'nn', e: 'AQAB', kid: 'rs', alg: 'RS256', use: 'sig' },
      ],
    });
    for (const name of ['trading', 'named', 'secret', 'was-secret', 'was-public', 'orphan', 'fernet']) {
      for (const path of [`/jwks/auth/${name}`, `/jwks/auth/${name}/.well-known/openid-configuration`]) {
        const text = JSON.stringify(await ask(path));
        for (const secret of SECRETS) assert.ok(!text.includes(secret), `${path}: ${text}`);
      }
    }
  });

  it('serves no key that its resource revokes, though the keyring has not been able to take note of it', async () => {
    caches.declare('auth', 'robbed', { revocations: [{ kid: 'es' }] });
    caches.publish('auth', 'robbed', outputs(ES256, RS256));
    const { status, body } = await ask('/jwks/auth/robbed');
    const kids = JSON.parse(body).keys.map(({ kid }: { kid: string }) => kid);
    assert.deepEqual([status, kids], [200, ['rs']]);
    caches.publish('auth', 'robbed', outputs(ES256));
    assert.equal((await ask('/jwks/auth/robbed')).status, 503);
  });

  it('can be cached: a random max-age from half of C to C, an ETag, 304', async () => {
    const ages: (string | undefined)[] = [];
    for (random of [0, 0.5, 0.999_999]) ages.push((await ask('/jwks/auth/trading')).headers['cache-control']);
    assert.deepEqual(ages, ['public, max-age=300', 'public, max-age=450', 'public, max-age=600']);
    const { headers } = await ask('/jwks/auth/trading');
    const again = await ask('/jwks/auth/trading', { 'if-none-match': headers.etag ?? '' });
    assert.deepEqual([again.status, again.body, again.headers.etag], [304, '', headers.etag]);
    assert.equal(again.headers['cache-control'], 'public, max-age=600');
    assert.equal(again.headers['content-length'], undefined, 'RFC 9110 §8.6: it would be that of the whole');
    assert.equal((await ask('/jwks/auth/trading', { 'if-none-match': '"other"' })).status, 200);
    assert.notEqual((await ask('/jwks/auth/named')).headers.etag, headers.etag);
  });

  it('answers HEAD like GET without the body, and other methods 405', async () => {
    const [get, head] = [await ask('/jwks/auth/trading'), await ask('/jwks/auth/trading', {}, 'HEAD')];
    assert.deepEqual({ ...head.headers, date: '' }, { ...get.headers, date: '' });
    assert.equal(head.headers['content-length'], String(get.body.length));
    assert.equal(head.body, '');
    const post = await ask('/jwks/auth/trading', {}, 'POST');
    assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD']);
  });

  const LONG = 'a'.repeat(8_000);
  it('answers 429 to an address that asks more than 500 times a second', async () => {
    const limited = new JwksServer({ sources: caches, externalUrl: null, registry: new Registry(), random: () => 0 });
    const at = await limited.listen(0);
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const statusFrom = (localAddress: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const asking = request({ host: '127.0.0.1', port: at, path: '/jwks/auth/trading', agent, localAddress });
        asking.once('error', reject).once('response', (answer) => {
          answer.resume();
          answer.once('end', () => resolve(`${answer.statusCode} ${answer.headers['retry-after'] ?? ''}`));
        });
        asking.end();
      });
    const statuses = new Set<string>();
    // A slow machine may take longer than a second for 501 requests, though not for all of these.
    for (let round = 0; round < 20 && statuses.size < 2; round++) {
      for (const status of await Promise.all(Array.from({ length: 1_000 }, () => statusFrom('127.0.0.1')))) {
        statuses.add(status);
      }
    }
    assert.deepEqual([...statuses].sort(), ['200 ', '429 1']);
    assert.equal(await statusFrom('127.0.0.2'), '200 ', 'others are served');
    agent.destroy();
    await limited.stop();
  });

  const refused: readonly (readonly [name: string, path: string, code: keyof typeof JWKS_PROBLEMS, host?: string])[] = [
    ['no such set', '/jwks/auth/none', 'not_found'],
    ['no such namespace', '/jwks/none/trading', 'not_found'],
    ['outputs without their set', '/jwks/auth/orphan', 'not_found'],
    ['the root', '/', 'not_found'],
    ['a list', '/jwks', 'not_found'],
    ['a slash more', '/jwks/auth/trading/', 'not_found'],
    ['a segment more', '/jwks/auth/trading/x', 'not_found'],
    ['dot segments', '/jwks/x/../auth/trading', 'not_found'],
    ['names of dots', '/jwks/../..', 'not_found'],
    ['encoded dots', '/jwks/%2e%2e/trading', 'not_found'],
    ['an encoded slash', '/jwks/auth%2ftrading', 'not_found'],
    ['a name that needs no decoding, encoded', '/jwks/auth/%74rading', 'not_found'],
    ['capitals', '/JWKS/auth/trading', 'not_found'],
    ['the name of a Secret', '/jwks/auth/trading-outputs', 'not_found'],
    ['members of every object', '/jwks/constructor/constructor', 'not_found'],
    ['a long name', `/jwks/auth/${LONG}`, 'not_found'],
    ['HS256', '/jwks/auth/secret', 'symmetric_key_set'],
    ['Fernet', '/jwks/auth/fernet', 'symmetric_key_set'],
    ['HS256, its configuration', '/jwks/auth/secret/.well-known/openid-configuration', 'symmetric_key_set'],
    ['no key yet', '/jwks/auth/new', 'not_published'],
    ['no public key yet', '/jwks/auth/was-secret', 'not_published'],
    ['damaged outputs', '/jwks/auth/damaged', 'not_published'],
    ['no key yet, its configuration', '/.well-known/openid-configuration', 'not_published', 'new.example'],
    ['an issuer that is no URL', '/jwks/auth/named/.well-known/openid-configuration', 'issuer_not_url'],
    ['two sets of one issuer', '/.well-known/openid-configuration', 'issuer_ambiguous', 'twin.example'],
    ['nobody’s issuer', '/.well-known/openid-configuration', 'not_found', 'evil.example'],
    ['no host', '/.well-known/openid-configuration', 'not_found', ''],
    ['a host that is none', '/realms/trading/.well-known/openid-configuration', 'not_found', 'auth.example/x@y'],
    ['a host and part of the path', '/trading/.well-known/openid-configuration', 'not_found', 'auth.example/realms'],
    ['a long host', '/realms/trading/.well-known/openid-configuration', 'not_found', LONG],
    ['the issuer’s path, encoded', '/realms/%74rading/.well-known/openid-configuration', 'not_found', 'auth.example'],
  ];
  for (const [name, path, code, host] of refused) {
    it(`${name}: ${code}`, async () => {
      const { status, headers, body } = await ask(path, host === undefined ? {} : { host });
      const [expected, title, detail] = JWKS_PROBLEMS[code];
      assert.equal(status, expected);
      const type = `https://portcullis.dev/errors#${code}`;
      assert.deepEqual(JSON.parse(body), { type, title, status, detail, code });
      assert.equal(headers['content-type'], 'application/problem+json');
      assert.equal(headers['cache-control'], 'no-store');
      assert.equal(headers['retry-after'], status === 503 ? '5' : undefined);
    });
  }

  it('serves public keys that outlive a change to HS256', async () => {
    assert.equal(JSON.parse((await ask('/jwks/auth/was-public')).body).keys.length, 1);
  });

  const CONFIGURATION = {
    issuer: 'https://auth.example:8443/realms/trading/',
    jwks_uri: 'https://auth.example:8443/jwks/auth/trading',
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256', 'RS256'],
  };
  const discovered: readonly (readonly [name: string, path: string, host: string])[] = [
    ['by name', '/jwks/auth/trading/.well-known/openid-configuration', 'evil.example'],
    ['by issuer', '/realms/trading/.well-known/openid-configuration', 'auth.example:8443'],
    [
      'by issuer, the port and letters of the host aside',
      '/realms/trading/.well-known/openid-configuration?x',
      'AUTH.example.',
    ],
  ];
  for (const [name, path, host] of discovered) {
    it(`tells the OpenID configuration ${name}, and nothing of it is the client’s`, async () => {
      const forwarded = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http', forwarded: 'host=evil' };
      const { status, headers, body } = await ask(path, { host, ...forwarded });
      assert.equal(status, 200);
      assert.equal(headers['content-type'], 'application/json');
      assert.deepEqual(JSON.parse(body), CONFIGURATION);
      assert.match(headers['cache-control'] ?? '', /^public, max-age=[3-6]\d\d$/);
    });
  }

  it('says where externalUrl has the keys, whatever the issuer', async (t) => {
    const other = new JwksServer({
      sources: caches,
      externalUrl: 'https://keys.example/base',
      registry: new Registry(),
      random: () => 0,
    });
    const at = await other.listen(0);
    t.after(() => other.stop());
    const url = `http://127.0.0.1:${at}/jwks/auth/named/.well-known/openid-configuration`;
    const { issuer, jwks_uri: uri } = (await (await fetch(url)).json()) as Record<string, string>;
    assert.deepEqual([issuer, uri], ['trading', 'https://keys.example/base/jwks/auth/named']);
  });

  it('follows the caches: new outputs, a new issuer, a set that is gone', async () => {
    caches.declare('auth', 'moving', { issuer: 'https://one.example' });
    caches.publish('auth', 'moving', outputs(ES256));
    const status = async (host: string) => (await ask('/.well-known/openid-configuration', { host })).status;
    const before = await ask('/jwks/auth/moving');
    assert.deepEqual([await status('one.example'), await status('two.example')], [200, 404]);
    caches.declare('auth', 'moving', { issuer: 'https://two.example' });
    caches.publish('auth', 'moving', outputs(RS256));
    assert.deepEqual([await status('one.example'), await status('two.example')], [404, 200]);
    assert.notEqual((await ask('/jwks/auth/moving')).headers.etag, before.headers.etag);
    caches.keySets.delete({ namespace: 'auth', name: 'moving' });
    assert.deepEqual([await status('two.example'), (await ask('/jwks/auth/moving')).status], [404, 404]);
  });

  const raw: readonly (readonly [name: string, head: string, status: number])[] = [
    ['headers of 20 KB', `GET /jwks/auth/trading HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
    ['a host of 20 KB', `GET /jwks/auth/trading HTTP/1.1\r\nhost: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
    ['a target of 20 KB', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: a\r\n\r\n`, 431],
    ['no host', 'GET /jwks/auth/trading HTTP/1.1\r\n\r\n', 400],
    [
      '1,000 headers',
      `GET /jwks/auth/trading HTTP/1.1\r\nhost: a\r\n${'x: y\r\n'.repeat(1_000)}connection: close\r\n\r\n`,
      431,
    ],
    ['two lengths', 'GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400],
    ['the absolute form', 'GET http://a/jwks/auth/trading HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n', 404],
    ['an asterisk', 'OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n', 405],
  ];
  for (const [name, head, status] of raw) {
    it(`${name}: ${status}`, async () => {
      const socket = connect(port, '127.0.0.1');
      let answer = '';
      socket.on('error', () => {}); // it may be closed while we still write
      socket.on('data', (chunk) => {
        answer += String(chunk);
      });
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.write(head);
      await closed;
      assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `));
    });
  }

  it('counts by kind and class of status, with no label of a client’s', async () => {
    const text = await registry.getSingleMetricAsString('portcullis_jwks_requests_total');
    const labels = [...text.matchAll(/\{(.*)\}/g)].map(([, found]) => found);
    assert.deepEqual(labels.sort(), [
      'kind="discovery",code="2xx"',
      'kind="discovery",code="4xx"',
      'kind="discovery",code="5xx"',
      'kind="jwks",code="2xx"',
      'kind="jwks",code="3xx"',
      'kind="jwks",code="4xx"',
      'kind="jwks",code="5xx"',
      'kind="other",code="4xx"',
    ]);
  });

  it('each problem has its line in docs/errors.md, with its status', () => {
    const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
    const rows = page.matchAll(/^\| `(\w+)` \| (\d{3}) \| \S[^|]* \|$/gm);
    assert.deepEqual(
      Object.fromEntries(Array.from(rows, ([, code, status]) => [code, Number(status)])),
      Object.fromEntries(Object.entries(JWKS_PROBLEMS).map(([code, [status]]) => [code, status])),
    );
  });
});

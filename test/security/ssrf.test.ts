import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FetchPinnedOptions, fetchPinned } from '../../sidecar/outbound/fetch-pinned.ts';
import { type DnsServer, startDnsServer } from '../support/dns-server.ts';
import { startTlsServer, type TlsServer } from '../support/tls-server.ts';

const HOST = 'issuer.example';
const KEYS = '{"keys":[]}';
const METADATA = '169.254.169.254';

/** What each path of the server answers; whatever is asked of it is counted. */
const ANSWERS: Readonly<Record<string, RequestListener>> = {
  '/keys': (_, answer) => answer.setHeader('content-type', 'application/jwk-set+json; charset=utf-8').end(KEYS),
  '/text': (_, answer) => answer.setHeader('content-type', 'text/html').end(KEYS),
  '/jsonish': (_, answer) => answer.setHeader('content-type', 'application/jsonp').end(KEYS),
  '/gzip': (_, answer) =>
    answer.setHeader('content-type', 'application/json').setHeader('content-encoding', 'gzip').end('x'),
  '/none': (_, answer) => answer.writeHead(404).end(),
  '/large': (_, answer) => answer.setHeader('content-type', 'application/json').end(' '.repeat(262_145)),
  '/endless': (_, answer) => {
    answer.setHeader('content-type', 'application/json');
    const writing = setInterval(() => answer.write(' '), 20);
    answer.once('close', () => clearInterval(writing));
  },
  '/silent': () => {},
  '/broken': (_, answer) => {
    answer.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' }).write('{');
    setTimeout(() => answer.destroy(), 20);
  },
  '/nowhere': (_, answer) => answer.writeHead(302).end(),
};

function redirect(location: string, status = 302): RequestListener {
  return (_, answer) => answer.writeHead(status, { location }).end();
}

describe('fetching from an issuer that is not to be trusted', () => {
  let server: TlsServer;
  let asked: string[];
  let redirects: Record<string, RequestListener>;
  const fetchPath = (path: string, more: Partial<FetchPinnedOptions> = {}) => {
    asked = [];
    const resolve = async () => ['127.0.0.1'];
    const options = { ca: server.ca, allowPrivateAddresses: true, resolve, timeoutMs: 2_000, ...more };
    return fetchPinned(`https://${HOST}:${server.port}${path}`, options);
  };

  before(async () => {
    server = await startTlsServer(HOST, (request, answer) => {
      asked.push(request.url ?? '');
      const { [request.url ?? '']: listener = ANSWERS['/none'] } = { ...ANSWERS, ...redirects };
      listener?.(request, answer);
    });
    redirects = {
      '/once': redirect('/keys', 308),
      '/thrice': redirect('/twice'),
      '/twice': redirect(`https://${HOST}:${server.port}/once`, 307),
      '/four': redirect('/thrice'),
      '/for-ever': redirect('/for-ever'),
      '/metadata': redirect(`https://${METADATA}/latest/meta-data/`),
      '/metadata-number': redirect('https://2852039166/'),
      '/metadata-in-ipv6': redirect('https://[::ffff:169.254.169.254]/'),
      '/plain': redirect(`http://${HOST}:${server.port}/keys`),
      '/user': redirect(`https://a:b@${HOST}:${server.port}/keys`),
      '/backslash': redirect(`\\\\${HOST}:${server.port}\\keys`),
      '/other': redirect(`https://other.example:${server.port}/keys`),
      '/file': redirect('file:///etc/passwd'),
    };
  });
  after(() => server.close());

  const good: readonly (readonly [string, readonly string[]])[] = [
    ['/keys', ['/keys']],
    ['/once', ['/once', '/keys']],
    ['/thrice', ['/thrice', '/twice', '/once', '/keys']],
  ];
  for (const [path, expected] of good) {
    it(`${path} is read`, async () => {
      assert.equal(String(await fetchPath(path)), KEYS);
      assert.deepEqual(asked, expected);
    });
  }

  const bad: readonly (readonly [string, RegExp, requests?: number])[] = [
    ['/text', /Content-Type is not JSON/],
    ['/jsonish', /Content-Type is not JSON/],
    ['/gzip', /compressed/],
    ['/none', /status 404/],
    ['/large', /more than 262144 bytes/],
    ['/broken', /broke off/],
    ['/nowhere', /status 302 without a Location/],
    ['/four', /more than 3 redirects/, 4],
    ['/for-ever', /more than 3 redirects/, 4],
    ['/metadata', /169\.254\.169\.254, which is metadata/],
    ['/metadata-number', /169\.254\.169\.254, which is metadata/],
    ['/metadata-in-ipv6', /which is metadata/],
    ['/plain', /not https/],
    ['/user', /refused: it holds a user/],
    ['/backslash', /a backslash/],
    ['/file', /not https/],
    ['/other', /does not match certificate's altnames/],
  ];
  for (const [path, why, requests = 1] of bad) {
    it(`${path}: ${why.source}`, async () => {
      await assert.rejects(fetchPath(path), why);
      assert.equal(asked.length, requests);
    });
  }

  for (const path of ['/silent', '/endless']) {
    it(`${path} has its time and no more`, async () => {
      const startedAt = performance.now();
      await assert.rejects(fetchPath(path, { timeoutMs: 200 }), /no answer within 200 ms/);
      assert.ok(performance.now() - startedAt < 1_500);
    });
  }

  it('verifies TLS, whatever the environment says', async () => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    try {
      await assert.rejects(fetchPath('/keys', { ca: null }), { code: 'outbound_failed' });
      await assert.rejects(fetchPath('/keys', { ca: (await unrelated()).ca }), { code: 'outbound_failed' });
      assert.deepEqual(asked, []);
    } finally {
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    }
  });

  it('asks every name once, and goes to the address that was checked', async () => {
    const dns = await startDnsServer((before) => [before === 0 ? '127.0.0.1' : METADATA]);
    try {
      assert.equal(String(await fetchPath('/keys', { resolve: dns.resolve })), KEYS);
      assert.equal(dns.questions, 1);
      // The second question, at the redirect, is answered by another address, and that is looked at again.
      const rebinding = await startDnsServer((before) => [before === 0 ? '127.0.0.1' : METADATA]);
      await assert.rejects(fetchPath('/once', { resolve: rebinding.resolve }), /metadata/);
      assert.deepEqual([rebinding.questions, asked], [2, ['/once']]);
      rebinding.close();
    } finally {
      dns.close();
    }
  });

  it('refuses a name of which one address is refused', async () => {
    const dns: DnsServer = await startDnsServer(() => ['127.0.0.1', METADATA]);
    await assert.rejects(fetchPath('/keys', { resolve: dns.resolve }), /metadata/);
    assert.deepEqual(asked, []);
    dns.close();
  });

  it('leaves no connection behind', async () => {
    await fetchPath('/keys');
    await assert.rejects(fetchPath('/large'));
    await assert.rejects(fetchPath('/silent', { timeoutMs: 100 }));
    for (let tries = 0; tries < 40 && (await server.connections()) > 0; tries++) await sleep(25);
    assert.equal(await server.connections(), 0);
  });
});

async function unrelated(): Promise<TlsServer> {
  const other = await startTlsServer(HOST, () => {});
  await other.close();
  return other;
}

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import type { Browser, Page } from 'puppeteer-core';
import { WebSocketServer } from 'ws';
import { type RunningLocal, startLocal } from '../../cli/local/start-local.ts';
import { skipOrFail } from '../cluster/skip-or-fail.ts';
import { missingBrowser, startBrowser } from '../support/browser.ts';
import { testAuthority } from '../support/certificates.ts';
import { memoryLog } from '../support/memory-log.ts';
import { serve, type TcpServer } from '../support/tcp-server.ts';
import { getTls } from '../support/tls-client.ts';

const HOST = 'orders.example';
/** Of the same site: SameSite=Strict lets its pages send the cookies. */
const SIBLING = 'blog.orders.example';
const STRANGER = 'evil.example';
const ACCESS_SECONDS = 3;

const POLICIES = `apiVersion: portcullis.dev/v1alpha1
kind: SigningKeySet
metadata: {name: trading}
spec:
  algorithm: ES256
  issuer: https://auth.trading.example
  audiences: [trading-api]
  maxTokenLifetime: 10s
  propagation: 0s
  jwksMaxAge: 0s
  clockSkew: 0s
---
apiVersion: portcullis.dev/v1alpha1
kind: AccessPolicy
metadata: {name: orders}
spec:
  authentication:
    revocation: {}
    jwt: [{name: trading, keySetRef: {name: trading}, from: [{cookie: __Host-access_token}]}]
  tokens:
    keySetRef: {name: trading}
    accessLifetime: ${ACCESS_SECONDS}s
    login: {path: /auth/login, credentials: {htpasswdSecretRef: {name: users}}}
    refresh: {path: /auth/refresh}
    logout: {path: /auth/logout}
    delivery: Cookie
  rules:
    - {name: page, match: {paths: [/], methods: [GET]}, allow: [{anonymous: true}]}
    - {name: tokens, match: {paths: [/auth/login, /auth/refresh, /auth/logout], methods: [POST]}, allow: [{anonymous: true}]}
    - {name: orders, match: {paths: [/orders, /ticks]}, allow: [{authenticated: true}]}
  securityHeaders: {preset: None}
---
apiVersion: v1
kind: Secret
metadata: {name: users, labels: {portcullis.dev/allow-reference: "true"}}
stringData:
  users.htpasswd: "ann:$2b$12$kOAPLOTahnfkT/2NMCti6OaZHNbH3ITQrdcmzV33DbDYPZNpzjyWy"
`;
const ANN = JSON.stringify({ username: 'ann', password: 'correct horse battery staple' });

const missing = missingBrowser();
if (missing === null) describe('tokens in cookies, in a real browser', { timeout: 120_000 }, inBrowser);
else test('tokens in cookies, in a real browser', (t) => skipOrFail(t, missing));

function inBrowser(): void {
  const closing: (() => Promise<unknown>)[] = [];
  /** What reached the application. */
  const reached: string[] = [];
  let browser: Browser;
  let page: Page;
  let origin = '';
  let port = 0;
  let ca = '';

  before(async () => {
    const authority = await testAuthority();
    ({ ca } = authority);
    const own = await authority.issue(HOST);
    const theirs = await authority.issue(STRANGER);
    const application = await startApplication(reached);
    closing.push(application.close);
    const directory = await mkdtemp(join(tmpdir(), 'portcullis-browser-'));
    closing.push(() => rm(directory, { recursive: true }));
    const local = await guarded(directory, application, own);
    closing.push(() => local.stop());
    port = local.sidecar.traffic[0]?.port ?? 0;
    origin = `https://${HOST}:${port}`;

    const others = createTlsServer({ cert: theirs.cert, key: theirs.key }, (_asked, answer) => {
      answer.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>others</title>');
    });
    const otherSites = await serve(others);
    closing.push(otherSites.close);
    browser = await startBrowser({ certificates: [own.cert, theirs.cert], hosts: [HOST, SIBLING, STRANGER] });
    closing.push(() => browser.close());
    page = await browser.newPage();
    await page.goto(`${origin}/`);
    elsewhere = async (host) => {
      const other = await browser.newPage();
      await other.goto(`https://${host}:${otherSites.port}/`);
      return other;
    };
  });
  after(async () => {
    for (const close of closing.toReversed()) await close();
  });

  let elsewhere: (host: string) => Promise<Page>;
  /** A fetch of that page; the status, or the error's name when the browser lets it see nothing. */
  const ask = (from: Page, path: string, init: RequestInit = {}): Promise<number | string> =>
    from.evaluate(
      (url, given) =>
        fetch(url, given).then(
          ({ status }) => status,
          ({ name }) => name as string,
        ),
      `${origin}${path}`,
      init,
    );
  const post = (path: string, body?: string): Promise<number | string> =>
    ask(page, path, { method: 'POST', ...(body && { body, headers: { 'content-type': 'application/json' } }) });
  const tick = (from: Page): Promise<string> =>
    from.evaluate(
      (url) =>
        new Promise<string>((resolve) => {
          const socket = new WebSocket(url);
          socket.onopen = () => socket.send('hello');
          socket.onmessage = ({ data }) => {
            resolve(String(data));
            socket.close();
          };
          socket.onerror = () => resolve('refused');
        }),
      `wss://${HOST}:${port}/ticks`,
    );
  const cookies = async () => (await browser.cookies()).filter(({ domain }) => domain === HOST);
  it('without a login there is nothing', async () => {
    assert.equal(await ask(page, '/orders'), 401);
    assert.equal(await tick(page), 'refused');
    assert.equal(await post('/auth/login', ANN.replace('correct', 'wrong')), 401);
    assert.deepEqual(await cookies(), []);
    assert.deepEqual(reached, ['GET /']);
  });

  it('a login sets cookies that no script reads and no plain connection carries', async () => {
    assert.equal(await post('/auth/login', ANN), 200);
    assert.equal(await page.evaluate('document.cookie'), '');
    const seen = (await cookies()).map(({ name, path, httpOnly, secure, sameSite }) => [
      name,
      path,
      httpOnly,
      secure,
      sameSite,
    ]);
    assert.deepEqual(seen.sort(), [
      ['__Host-access_token', '/', true, true, 'Strict'],
      ['__Secure-refresh_token', '/auth/logout', true, true, 'Strict'],
      ['__Secure-refresh_token', '/auth/refresh', true, true, 'Strict'],
    ]);
  });

  it('with them requests and WebSockets are let in', async () => {
    assert.equal(await post('/auth/refresh'), 200);
    assert.equal(await ask(page, '/orders'), 200);
    assert.equal(await post('/orders', '{}'), 200);
    assert.equal(await tick(page), 'hello');
  });

  it('the access token ends, and the refresh token brings another', async () => {
    while ((await ask(page, '/orders')) !== 401); // the test's time-out ends it
    assert.equal(await tick(page), 'refused');
    assert.equal(await post('/auth/refresh'), 200);
    assert.equal(await ask(page, '/orders'), 200);
    assert.equal(await tick(page), 'hello');
  });

  it('a page of the same site has the cookies sent, and is refused by its Origin', async () => {
    const sibling = await elsewhere(SIBLING);
    await post('/auth/refresh');
    reached.length = 0;
    const simple = { method: 'POST', credentials: 'include', mode: 'no-cors', body: 'x' } as const;
    for (const path of ['/orders', '/auth/refresh', '/auth/logout']) await ask(sibling, path, simple);
    assert.equal(await tick(sibling), 'refused');
    assert.deepEqual(reached, []);
    // A GET is safe by its meaning: it is served, and the browser keeps the answer from the page.
    assert.equal(await ask(sibling, '/orders', { credentials: 'include' }), 'TypeError');
    assert.deepEqual(reached, ['GET /orders']);
    assert.equal(await post('/orders', '{}'), 200, 'nobody was logged out');
    await sibling.close();
  });

  it('a page of another site has no cookies sent', async () => {
    const stranger = await elsewhere(STRANGER);
    await post('/auth/refresh');
    reached.length = 0;
    for (const method of ['GET', 'POST']) {
      await ask(stranger, '/orders', { method, credentials: 'include', mode: 'no-cors' });
    }
    assert.equal(await tick(stranger), 'refused');
    assert.deepEqual(reached, []);
    await stranger.close();
  });

  it('a logout takes the cookies away, and who kept a copy has nothing', async () => {
    await post('/auth/refresh');
    const copy = (await cookies()).find(({ name }) => name === '__Host-access_token')?.value;
    const replay = () =>
      getTls(port, ca, { servername: HOST, path: '/orders', headers: { cookie: `__Host-access_token=${copy}` } });
    assert.equal((await replay()).status, 200, 'the honest half');
    assert.equal(await post('/auth/logout'), 204);
    assert.deepEqual(await cookies(), []);
    assert.equal(await ask(page, '/orders'), 401);
    assert.equal((await replay()).status, 401);
    assert.equal(await post('/auth/refresh'), 401);
  });

  it('a certificate that it was not told of is refused', async () => {
    const unknown = await (await testAuthority()).issue(HOST);
    const impostor = await serve(
      createTlsServer({ cert: unknown.cert, key: unknown.key }, (_asked, answer) => answer.end()),
    );
    const other = await browser.newPage();
    await assert.rejects(other.goto(`https://${HOST}:${impostor.port}/`), /ERR_CERT_AUTHORITY_INVALID/);
    await other.close();
    await impostor.close();
  });
}

function startApplication(reached: string[]): Promise<TcpServer> {
  const server = createServer((asked, answer) => {
    if (asked.url !== '/favicon.ico') reached.push(`${asked.method} ${asked.url}`);
    answer.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>orders</title>');
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, { url }) => {
    reached.push(`WebSocket ${url}`);
    socket.on('message', (data) => socket.send(String(data)));
  });
  return serve(server);
}

/** Local mode over TLS, as `portcullis local --tls-cert --tls-key` runs it. */
async function guarded(
  directory: string,
  application: TcpServer,
  { cert, key }: { readonly cert: string; readonly key: string },
): Promise<RunningLocal> {
  await mkdir(join(directory, 'policies'));
  await writeFile(join(directory, 'policies', 'all.yaml'), POLICIES);
  await writeFile(join(directory, 'tls.crt'), cert);
  await writeFile(join(directory, 'tls.key'), key);
  const free = { host: '127.0.0.1', port: 0 };
  return startLocal(
    {
      policies: join(directory, 'policies'),
      upstream: { host: '127.0.0.1', port: application.port },
      listen: free,
      admin: free,
      tls: { cert: join(directory, 'tls.crt'), key: join(directory, 'tls.key'), name: 'tls', advice: '' },
      state: join(directory, 'state'),
      redisUrl: null,
      accessPolicy: null,
      rateLimitPolicy: null,
    },
    { sink: memoryLog(), say: () => {}, now: Date.now, version: '0.0.0' },
  );
}

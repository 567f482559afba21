import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { Registry } from 'prom-client';
import { ApiConnection, type ApiRequest, type ConnectionOptions } from './api-connection.ts';
import { KubeError } from './kube-client.ts';
import { KubeMetrics } from './kube-metrics.ts';
import { selfSigned } from './testing/self-signed.ts';

const certificate = await selfSigned();
const GET: ApiRequest = { method: 'GET', path: '/api/v1/secrets' };
const SECRET = 'c2VjcmV0';

interface Rig {
  readonly connection: ApiConnection;
  readonly metrics: KubeMetrics;
  /** Connections so far. */
  readonly sockets: readonly Socket[];
  readonly requests: readonly { readonly request: IncomingMessage; readonly body: string }[];
}

type Handler = (request: IncomingMessage, response: ServerResponse, nth: number) => void;

async function rig(t: TestContext, handle: Handler, options: ConnectionOptions = {}): Promise<Rig> {
  const sockets: Socket[] = [];
  const requests: { request: IncomingMessage; body: string }[] = [];
  const server = createServer({ ...certificate, keepAliveTimeout: 60_000 }, async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    requests.push({ request, body });
    handle(request, response, requests.length);
  });
  server.on('secureConnection', (socket: Socket) => sockets.push(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const kubeConfig = new KubeConfig();
  const { port } = server.address() as AddressInfo;
  const caData = Buffer.from(certificate.cert).toString('base64');
  kubeConfig.loadFromClusterAndUser(
    { name: 'test', server: `https://127.0.0.1:${port}/base/`, caData, skipTLSVerify: false },
    { name: 'test', token: 'the-token' },
  );
  const metrics = new KubeMetrics(new Registry());
  const connection = new ApiConnection(kubeConfig, { metrics, ...options });
  t.after(() => {
    connection.close();
    server.close();
    server.closeAllConnections();
  });
  return { connection, metrics, sockets, requests };
}

function reply(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, headers).end(body);
}

describe('ApiConnection', () => {
  it('sends paths, queries, bodies and credentials, on one connection', async (t) => {
    const { connection, sockets, requests } = await rig(t, (_, response) => reply(response, 200, '{"a":1}'));
    const query = { labelSelector: 'a in (b, c)', limit: '5', continue: undefined };
    assert.deepEqual(await connection.json({ ...GET, query }), { a: 1 });
    await connection.json({ method: 'POST', path: '/x', body: { é: 1 } });
    const patch = 'application/merge-patch+json';
    await connection.json({ method: 'PATCH', path: '/x', body: {}, contentType: patch });
    assert.deepEqual(
      requests.map(({ request: { method, url, headers }, body }) => [method, url, headers['content-type'], body]),
      [
        ['GET', '/base/api/v1/secrets?labelSelector=a+in+%28b%2C+c%29&limit=5', undefined, ''],
        ['POST', '/base/x', 'application/json', '{"é":1}'],
        ['PATCH', '/base/x', patch, '{}'],
      ],
    );
    for (const { request } of requests) assert.equal(request.headers.authorization, 'Bearer the-token');
    assert.equal(sockets.length, 1);
  });

  const status = (reason: string): string => JSON.stringify({ kind: 'Status', reason, message: `it is ${reason}` });
  const REFUSALS: readonly (readonly [
    name: string,
    answer: Parameters<typeof reply> extends [unknown, ...infer Rest] ? Rest : never,
    expected: Partial<KubeError>,
  ])[] = [
    [
      'a Status',
      [409, status('Conflict')],
      { status: 409, reason: 'Conflict', message: 'it is Conflict', retryAfterMs: null },
    ],
    ['Retry-After', [429, status('TooManyRequests'), { 'retry-after': '3' }], { status: 429, retryAfterMs: 3000 }],
    ['a date in Retry-After', [503, '', { 'retry-after': 'Fri, 01 Jan 2100 00:00:00 GMT' }], { retryAfterMs: null }],
    [
      'a proxy’s page',
      [502, `<h1>${SECRET}</h1>`],
      { status: 502, reason: '', message: 'GET /api/v1/secrets: HTTP 502' },
    ],
    ['an unknown path', [404, '404 page not found'], { status: 404, reason: '' }],
    ['a redirect', [302, '', { location: 'https://elsewhere.example/' }], { status: 302 }],
    ['what is no JSON', [200, `{"data":"${SECRET}`], { status: 0, reason: 'NoAnswer' }],
  ];
  for (const [name, answer, expected] of REFUSALS) {
    it(`throws KubeError for ${name}, without what was answered`, async (t) => {
      const { connection } = await rig(t, (_, response) => reply(response, ...answer));
      const error = await connection.json(GET).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof KubeError);
      for (const [member, value] of Object.entries(expected)) assert.equal(error[member as keyof KubeError], value);
      assert.ok(!`${error.stack} ${(error.cause as Error)?.stack}`.includes(SECRET));
    });
  }

  it('gives up after its time-out, before and in the middle of an answer', async (t) => {
    const halfAnswer: Handler = (_, response, nth) => {
      if (nth === 2) response.writeHead(200).write('{');
    };
    const { connection } = await rig(t, halfAnswer, { timeoutMs: 300 });
    const expected = { status: 0, reason: 'Timeout', message: 'GET /api/v1/secrets: no answer within 0.3 s' };
    await assert.rejects(connection.json(GET), expected);
    await assert.rejects(connection.json(GET), expected);
  });

  it('refuses an answer that is too large', async (t) => {
    const { connection } = await rig(t, (_, response) => {
      response.on('error', () => {});
      for (let i = 0; i < 70; i++) response.write(Buffer.alloc(1024 * 1024, 32));
    });
    await assert.rejects(connection.json(GET), { status: 0, message: /larger than 16777216 bytes/ });
  });

  it('sends a GET again, on a new connection, that met one closed meanwhile', async (t) => {
    const used = new Set<unknown>();
    const { connection, requests } = await rig(t, ({ socket }, response) => {
      if (used.has(socket)) socket.destroy();
      else reply(response, 200, '{}');
      used.add(socket);
    });
    await Promise.all([connection.json(GET), connection.json(GET), connection.json(GET)]);
    await connection.json(GET);
    assert.equal(requests.length, 5);
    await assert.rejects(connection.json({ method: 'POST', path: '/x', body: {} }), { status: 0 });
    assert.equal(requests.length, 6);
  });

  it('sends nothing again that failed on a new connection', async (t) => {
    const { connection, requests } = await rig(t, ({ socket }) => void socket.destroy());
    await assert.rejects(connection.json(GET), { status: 0 });
    assert.equal(requests.length, 1);
  });

  it('counts requests by method and status', async (t) => {
    const { connection, metrics } = await rig(t, (request, response, nth) => {
      if (nth === 3) request.socket.destroy();
      else reply(response, nth === 2 ? 404 : 200, '{}');
    });
    await connection.json(GET);
    await assert.rejects(connection.json(GET));
    await assert.rejects(connection.json({ method: 'PUT', path: '/x', body: {} }));
    const { values } = await metrics.requests.get();
    assert.deepEqual(
      values.map(({ labels, value }) => [labels.method, labels.code, value]),
      [
        ['GET', '200', 1],
        ['GET', '404', 1],
        ['PUT', '<error>', 1],
      ],
    );
  });

  it('waits for its turn past the burst', async (t) => {
    const { connection, requests } = await rig(t, (_, response) => reply(response, 200, '{}'), {
      requestsPerSecond: 0.5,
      burst: 3,
    });
    for (let i = 0; i < 3; i++) await connection.json(GET);
    const fourth = connection.json(GET);
    await sleep(50);
    assert.equal(requests.length, 3);
    await fourth;
    assert.equal(requests.length, 4);
  });

  it('trusts only the cluster’s CA', async (t) => {
    const { connection, requests } = await rig(t, (_, response) => reply(response, 200, '{}'));
    await connection.json(GET);
    const strange = new KubeConfig();
    const caData = Buffer.from((await selfSigned()).cert).toString('base64');
    const { port } = (requests[0]?.request.socket.address() ?? {}) as AddressInfo;
    strange.loadFromClusterAndUser(
      { name: 'x', server: `https://127.0.0.1:${port}`, caData, skipTLSVerify: false },
      { name: 'x', token: 'the-token' },
    );
    await assert.rejects(new ApiConnection(strange).json(GET), { status: 0, message: /self-signed|signature/ });
    assert.equal(requests.length, 1);
  });
});

import assert from 'node:assert/strict';
import { request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { type Authority, CERTIFICATE_TIMES, type Leaf } from './certificates.ts';
import { makeAuthority, makeLeaf } from './certificates-x509.ts';
import type { AdmissionHandler } from './review.ts';
import { MAX_REVIEW_BYTES } from './webhook-body.ts';
import { WebhookServer } from './webhook-server.ts';

const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function review(object: object = {}, extra: object = {}): string {
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const request = { uid: UID, kind, operation: 'CREATE', namespace: 'shop', object, ...extra };
  return JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request });
}

describe('WebhookServer', () => {
  const lines: string[] = [];
  const registry = new Registry();
  const handlers: Record<string, AdmissionHandler> = {
    '/echo': ({ object }) => ({ allowed: true, warnings: [`saw ${JSON.stringify(object).length}\ncharacters`] }),
    '/patch': () => ({ allowed: true, patch: [{ op: 'remove', path: '/spec' }] }),
    '/deny': () => ({ allowed: false, message: 'write something else' }),
    '/throw': () => {
      throw new Error('secret: hunter2');
    },
    '/reject': async () => Promise.reject(new Error('secret: hunter2')),
    '/late': () => sleep(2_000, { allowed: true }, { ref: false }),
  };
  const server = new WebhookServer({
    handlers,
    registry,
    log: pino({}, { write: (line: string) => lines.push(line) }),
    deadlineMs: 50,
  });
  let authority: Authority;
  let leaf: Leaf;
  let port = 0;

  const ask = (path: string, body: string | Buffer, method = 'POST', headers: object = {}, ca = authority) =>
    new Promise<Answer>((resolve, reject) => {
      const options = { port, host: '127.0.0.1', servername: 'webhooks', ca: ca.certificate, agent: false };
      const length = { 'content-length': Buffer.byteLength(body) };
      request({ ...options, method, path, headers: { ...length, ...headers } }, async (response) => {
        let text = '';
        for await (const data of response) text += String(data);
        resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body: text });
      })
        .on('error', reject)
        .end(body);
    });
  const answer = async (path: string, body: string | Buffer) => {
    const { status, body: text } = await ask(path, body);
    assert.equal(status, 200, text);
    const { apiVersion, kind, response } = JSON.parse(text);
    assert.deepEqual([apiVersion, kind, response.uid], ['admission.k8s.io/v1', 'AdmissionReview', UID]);
    return response;
  };

  before(async () => {
    authority = await makeAuthority(Date.now(), CERTIFICATE_TIMES);
    leaf = await makeLeaf(authority, ['webhooks'], Date.now(), CERTIFICATE_TIMES);
    ({ port } = await server.listen('127.0.0.1', 0));
  });
  after(() => server.stop());

  it('has nothing to serve with at first', async () => {
    assert.equal(server.hasCertificate, false);
    await assert.rejects(ask('/echo', review()));
    server.use(leaf);
    assert.equal(server.hasCertificate, true);
    const metrics = await registry.metrics();
    assert.ok(metrics.includes(`certificate_expiry_timestamp_seconds ${leaf.notAfter / 1000}`), metrics);
  });

  it('answers with warnings of one line', async () => {
    const { allowed, warnings, patch } = await answer('/echo', review({ a: 1 }));
    assert.deepEqual([allowed, warnings, patch], [true, ['saw 7 characters'], undefined]);
  });

  it('answers with a JSON patch in base64', async () => {
    const { allowed, patchType, patch } = await answer('/patch', review());
    assert.deepEqual([allowed, patchType], [true, 'JSONPatch']);
    assert.deepEqual(JSON.parse(Buffer.from(patch, 'base64').toString()), [{ op: 'remove', path: '/spec' }]);
  });

  it('refuses with the handler’s words', async () => {
    const { allowed, status } = await answer('/deny', review());
    assert.deepEqual([allowed, status], [false, { message: 'write something else', reason: 'Forbidden', code: 403 }]);
  });

  for (const path of ['/throw', '/reject']) {
    it(`${path}: refuses without saying what is inside, and logs it`, async () => {
      lines.length = 0;
      const { allowed, status } = await answer(path, review());
      assert.equal(allowed, false);
      assert.equal(
        status.message,
        `Portcullis could not decide on this request and refuses it; try again (the operator logs why, uid ${UID})`,
      );
      assert.ok(lines.some((line) => line.includes('webhook failed') && line.includes(UID)));
    });
  }

  it('refuses what is not decided in time', async () => {
    const { allowed, status } = await answer('/late', review());
    assert.equal(allowed, false);
    assert.match(status.message, /did not decide within 0.05 s/);
  });

  it('reads an object of several MiB', async () => {
    const { allowed, warnings } = await answer('/echo', review({ data: 'x'.repeat(5 * 2 ** 20) }));
    assert.deepEqual([allowed, warnings], [true, ['saw 5242891 characters']]);
  });

  it('refuses a larger one in one line that says the limit', async () => {
    const { allowed, status } = await answer('/echo', review({ data: 'x'.repeat(MAX_REVIEW_BYTES) }));
    assert.equal(allowed, false);
    assert.equal(
      status.message,
      'the request has 6.0 MiB, and Portcullis reads at most 6.0 MiB; make the object smaller',
    );
  });

  const refused: readonly (readonly [name: string, status: number, ...Parameters<typeof ask>])[] = [
    ['another method', 404, '/echo', '', 'GET'],
    ['another path', 404, '/nothing', review()],
    ['no Content-Length', 411, '/echo', review(), 'POST', { 'content-length': [], 'transfer-encoding': 'chunked' }],
    ['no JSON', 400, '/echo', '{'],
    ['another document', 400, '/echo', '{"kind":"Pod"}'],
    ['a review without an operation', 400, '/echo', review({}, { operation: 'PATCH' })],
    ['a review with a uid that is none', 400, '/echo', review({}, { uid: 7 })],
    ['something large that is no review', 413, '/echo', Buffer.alloc(MAX_REVIEW_BYTES + 1, 0x20)],
  ];
  for (const [name, status, ...args] of refused) {
    it(`answers ${status} to ${name}`, async () => {
      assert.equal((await ask(...args)).status, status);
    });
  }

  it('is alive', async () => {
    assert.equal((await ask('/healthz', '', 'GET')).body, 'ok\n');
  });

  it('holds no more than 64 MiB of requests at a time', async () => {
    const sockets: TLSSocket[] = [];
    const open = async () => {
      const socket = connect({ port, host: '127.0.0.1', servername: 'webhooks', ca: authority.certificate });
      sockets.push(socket);
      await new Promise((resolve) => socket.once('secureConnect', resolve));
      socket.write(`POST /echo HTTP/1.1\r\nHost: webhooks\r\nContent-Length: ${MAX_REVIEW_BYTES}\r\n\r\n{`);
    };
    await Promise.all(Array.from({ length: 10 }, open));
    const body = review().padEnd(MAX_REVIEW_BYTES);
    while ((await inFlight(registry)) < 10) await sleep(5);
    const { allowed, status } = await answer('/echo', body);
    assert.equal(allowed, false);
    assert.equal(status.message, 'Portcullis reads too many large requests at this time; try again');
    for (const socket of sockets) socket.destroy();
    while ((await inFlight(registry)) > 0) await sleep(5);
    assert.equal((await answer('/echo', body)).allowed, true);
  });

  it('gives up on one that sends nothing', async () => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'webhooks', ca: authority.certificate });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    socket.write('POST /echo HTTP/1.1\r\nHost: webhooks\r\nContent-Length: 100\r\n\r\n{');
    const chunks: string[] = [];
    for await (const chunk of socket) chunks.push(String(chunk));
    assert.match(chunks.join(''), /^HTTP\/1.1 408 /);
  });

  it('changes its certificate for the next connection and breaks none that is open', async () => {
    const open = connect({ port, host: '127.0.0.1', servername: 'webhooks', ca: authority.certificate });
    await new Promise((resolve) => open.once('secureConnect', resolve));
    const other = await makeAuthority(Date.now(), CERTIFICATE_TIMES);
    server.use(await makeLeaf(other, ['webhooks'], Date.now(), CERTIFICATE_TIMES));
    await assert.rejects(ask('/healthz', '', 'GET'));
    assert.equal((await ask('/healthz', '', 'GET', {}, other)).status, 200);
    open.write('GET /healthz HTTP/1.1\r\nHost: webhooks\r\nConnection: close\r\n\r\n');
    const chunks: string[] = [];
    for await (const chunk of open) chunks.push(String(chunk));
    assert.match(chunks.join(''), /^HTTP\/1.1 200 /);
  });

  it('speaks TLS 1.2 at least', async () => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      servername: 'webhooks',
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
    });
    await assert.rejects(new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject)));
  });

  it('counts', async () => {
    const text = await registry.metrics();
    for (const line of [
      /^controller_runtime_webhook_requests_total\{webhook="\/deny",code="200"\} 1$/m,
      /^controller_runtime_webhook_requests_total\{webhook="\/echo",code="400"\} 4$/m,
      /^controller_runtime_webhook_requests_in_flight\{webhook="\/echo"\} 0$/m,
      /^controller_runtime_webhook_latency_seconds_count\{webhook="\/patch"\} 1$/m,
    ]) {
      assert.match(text, line);
    }
  });
});

async function inFlight(registry: Registry): Promise<number> {
  const text = await registry.metrics();
  return Number(/in_flight\{webhook="\/echo"\} (\d+)/.exec(text)?.[1]);
}

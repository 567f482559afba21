import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Counter, Registry } from 'prom-client';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';
import { AdminServer } from './admin-server.ts';

const never = (error: unknown): never => assert.fail(String(error));
const status: SidecarStatus = {
  uid: 'u',
  version: '1',
  bundles: { access: null, limits: null, issuer: null },
  keySets: { 'auth/trading': 42 },
  draining: false,
  notReady: [],
};

describe('AdminServer', () => {
  const reasons: string[] = [];
  const notes: string[] = [];
  const registry = new Registry();
  new Counter({ name: 'things_total', help: 'Things.', registers: [registry] }).inc(3);
  const sources = {
    registry,
    status: () => status,
    notReady: () => reasons,
    notes: () => notes,
    probes: [],
    onFault: never,
  };
  const admin = new AdminServer(sources);
  let port = 0;
  before(async () => {
    ({ port } = await admin.listen('127.0.0.1', 0));
  });
  after(() => admin.stop());

  const ask = (method: string, path: string) =>
    new Promise<{ status: number; type: string; body: string; headers: object }>((resolve, reject) => {
      request({ port, host: '127.0.0.1', method, path, agent: false }, async (response) => {
        let body = '';
        for await (const data of response) body += String(data);
        const { statusCode = 0, headers } = response;
        resolve({ status: statusCode, type: headers['content-type'] ?? '', body, headers });
      })
        .on('error', reject)
        .end();
    });

  it('/healthz is ok as long as the process answers', async () => {
    const { status: code, body } = await ask('GET', '/healthz');
    assert.deepEqual([code, body], [200, 'ok\n']);
  });

  it('/readyz gives every reason against', async () => {
    assert.deepEqual((await ask('GET', '/readyz')).status, 200);
    reasons.push('no access bundle', 'draining');
    const { status: code, body } = await ask('GET', '/readyz');
    assert.deepEqual([code, body], [503, 'no access bundle\ndraining\n']);
    reasons.length = 0;
  });

  it('/readyz says what else is worth knowing', async () => {
    notes.push('the application takes its time');
    const { status: code, body } = await ask('GET', '/readyz');
    assert.deepEqual([code, body], [200, 'ok\nthe application takes its time\n']);
    notes.length = 0;
  });

  it('HEAD is GET without the body', async () => {
    const { status: code, body, type } = await ask('HEAD', '/status');
    assert.deepEqual([code, body, type], [200, '', 'application/json; charset=utf-8']);
  });

  it('a scrape that fails is 500, and told', async () => {
    const told: unknown[] = [];
    const broken = new Registry();
    broken.metrics = () => Promise.reject(new Error('boom'));
    const second = new AdminServer({ ...sources, registry: broken, onFault: (error) => told.push(error) });
    const { port: own } = await second.listen('127.0.0.1', 0);
    const answer = await fetch(`http://127.0.0.1:${own}/metrics`);
    assert.deepEqual([answer.status, await answer.text()], [500, 'internal error; the log says more\n']);
    assert.equal((told[0] as Error).message, 'boom');
    await second.stop();
  });

  it('/metrics is what Prometheus reads', async () => {
    const { status: code, type, body } = await ask('GET', '/metrics');
    assert.equal(code, 200);
    assert.match(type, /^text\/plain; version=0\.0\.4/);
    assert.match(body, /^things_total 3$/m);
  });

  it('/status is JSON', async () => {
    const { type, body } = await ask('GET', '/status');
    assert.match(type, /^application\/json/);
    assert.deepEqual(JSON.parse(body), status);
  });

  it('everything else is 404, and nothing can be changed', async () => {
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/status/x'],
      ['GET', '/probes/app/liveness'],
      ['GET', '//127.0.0.1/healthz'],
      ['POST', '/status'],
      ['PUT', '/readyz'],
      ['DELETE', '/metrics'],
    ] as const) {
      assert.equal((await ask(method, path)).status, 404, `${method} ${path}`);
    }
  });

  it('does not say what it is made of', async () => {
    const { headers } = await ask('GET', '/healthz');
    assert.equal('x-powered-by' in headers, false);
  });

  it('one address that holds its connections open keeps nobody else from asking', async () => {
    const idle = Array.from({ length: 64 }, () => connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9' }));
    for (const socket of idle) socket.on('error', () => {});
    await Promise.all(idle.map((socket) => once(socket, 'connect')));
    assert.equal((await ask('GET', '/healthz')).status, 200);
    for (const socket of idle) socket.destroy();
  });

  it('listen rejects where somebody listens already', async () => {
    const second = new AdminServer(sources);
    await assert.rejects(second.listen('127.0.0.1', port), { code: 'EADDRINUSE' });
  });
});

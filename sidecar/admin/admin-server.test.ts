import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { Counter, Registry } from 'prom-client';
import { AdminServer } from './admin-server.ts';
import type { SidecarStatus } from './status.ts';

const never = (error: unknown): never => assert.fail(String(error));
const status: SidecarStatus = {
  uid: 'u',
  version: '1',
  bundles: { access: null, limits: null },
  keySets: { 'auth/trading': 42 },
  draining: false,
};

describe('AdminServer', () => {
  const reasons: string[] = [];
  const registry = new Registry();
  new Counter({ name: 'things_total', help: 'Things.', registers: [registry] }).inc(3);
  const admin = new AdminServer({ registry, status: () => status, notReady: () => reasons, onFault: never });
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

  it('listen rejects where somebody listens already', async () => {
    const second = new AdminServer({ registry, status: () => status, notReady: () => [], onFault: never });
    await assert.rejects(second.listen('127.0.0.1', port), { code: 'EADDRINUSE' });
  });
});

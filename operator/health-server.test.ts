import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Registry } from 'prom-client';
import { HealthServer } from './health-server.ts';

test('answers health, readiness with every reason, and metrics; nothing else', async (t) => {
  const registry = new Registry();
  new Counter({ name: 'things_total', help: 'Things.', registers: [registry] }).inc(2);
  const reasons: string[] = [];
  const server = new HealthServer({ registry, notReady: () => reasons });
  const port = await server.listen(0);
  t.after(() => server.stop());
  const get = async (path: string, method = 'GET'): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return [response.status, await response.text()];
  };
  assert.deepEqual(await get('/healthz'), [200, 'ok\n']);
  assert.deepEqual(await get('/readyz'), [200, 'ok\n']);
  reasons.push('pods not synced', 'no certificate');
  assert.deepEqual(await get('/readyz'), [503, 'pods not synced\nno certificate\n']);
  const [status, metrics] = await get('/metrics');
  assert.equal(status, 200);
  assert.match(metrics, /^things_total 2$/m);
  assert.equal((await get('/'))[0], 404);
  assert.equal((await get('/healthz', 'POST'))[0], 405);
});

import assert from 'node:assert/strict';
import { condition } from './look.ts';
import { type BrokerRequest, startOutside } from './outside.ts';
import type { Stage } from './scenario.ts';
import { app, calmKeys, policy, redis, service } from './trading.ts';
import { type Manifest, until } from './world.ts';

/** The application reaches its broker through the sidecar, and nothing else there. */
export async function egress({ world, scenario, ready }: Stage): Promise<void> {
  await scenario('a broker with TLS', async (namespace) => {
    const outside = await startOutside(world, namespace);
    try {
      const limits: Manifest = {
        apiVersion: 'portcullis.dev/v1alpha1',
        kind: 'RateLimitPolicy',
        metadata: { name: 'standard' },
        spec: {
          store: { redis: { secretRef: { name: 'redis-url' } } },
          egress: [
            {
              name: 'broker',
              url: outside.broker.url,
              caSecretRef: { name: 'broker-ca' },
              allowPrivateAddresses: true,
              allow: [{ methods: ['GET', 'POST', 'DELETE'], paths: ['/api/v3/order'] }],
              rate: '60/1m',
              retry: { attempts: 4, retryOn: ['429', '5xx', 'connect'], backoff: { base: '100ms', max: '5s' } },
              credentials: { secretRef: { name: 'broker-key' }, header: 'X-MBX-APIKEY' },
            },
          ],
        },
      };
      const key: Manifest = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'broker-key', labels: { 'portcullis.dev/allow-reference': 'true' } },
        stringData: { value: 'the-key-of-the-desk' },
      };
      await world.apply(
        namespace,
        ...redis(),
        ...outside.objects,
        key,
        calmKeys(),
        policy('orders'),
        limits,
        service('web', { 'access-policy': 'orders', 'rate-limit-policy': 'standard' }),
        app('web'),
      );
      const [pod] = await ready(namespace, 'app=web', 1);
      const call = async (method: string, path: string): Promise<number> => {
        const script = `fetch('http://127.0.0.1:14182${path}', {method: '${method}'}).then((r) => console.log(r.status), (e) => console.log(0, e.cause))`;
        const args = ['exec', '-n', namespace, pod.metadata.name, '-c', 'api', '--', 'node', '-e', script];
        const { stdout, stderr } = await world.run('kubectl', args);
        assert.match(stdout, /^\d+/, stderr);
        return Number(stdout.trim().split(' ')[0]);
      };
      await until('the broker answers', async () => (await call('GET', '/broker/api/v3/order?symbol=AAPL')) === 200);
      await outside.ask({ do: 'brokerSaw' });

      await outside.ask({ do: 'limitNext', count: 2 });
      const status = await call('GET', '/broker/api/v3/order');
      const seen = await outside.ask<readonly BrokerRequest[]>({ do: 'brokerSaw' });
      assert.equal(status, 200);
      assert.deepEqual(
        seen.map(({ limited }) => limited),
        [true, true, false],
      );
      assert.ok(seen.every(({ apiKey }) => apiKey === 'the-key-of-the-desk'));
      const waits = seen.slice(1).map(({ at }, index) => at - (seen[index]?.at ?? 0));
      assert.ok(
        waits.every((ms) => ms >= 950),
        `Retry-After: 1 is honoured: ${waits.join(', ')} ms`,
      );

      await outside.ask({ do: 'limitNext', count: 1 });
      assert.equal(await call('POST', '/broker/api/v3/order'), 429, 'an order is never sent twice');
      assert.equal(await call('POST', '/broker/wapi/v3/withdraw'), 403);
      const orders = await outside.ask<readonly BrokerRequest[]>({ do: 'brokerSaw' });
      assert.deepEqual(
        orders.map(({ method, url }) => `${method} ${url}`),
        ['POST /api/v3/order'],
      );

      const enforced = await until('EgressEnforced', async () => {
        const found = condition(await world.get('ratelimitpolicy', 'standard', namespace), 'EgressEnforced');
        return found.status !== undefined && found;
      });
      assert.deepEqual([enforced.status, enforced.reason], ['False', 'Advisory']);
      return `429 twice, then 200 after ${waits.join(' and ')} ms; a POST is not repeated; a withdrawal 403 and never sent; EgressEnforced False (Advisory)`;
    } finally {
      outside.close();
    }
  });
}

import assert from 'node:assert/strict';
import { serviceAddress, tokenFor } from './look.ts';
import type { Stage } from './scenario.ts';
import { app, calmKeys, policy, service } from './trading.ts';
import { type Manifest, until } from './world.ts';

/** Two tenants of one application, each of which sees only its own. */
export async function tenants({ world, scenario, ready, statusAt }: Stage): Promise<void> {
  await scenario('two tenants', async (namespace) => {
    const isolated = policy('orders', (spec) => {
      const rule = spec.rules.find(({ name }: Manifest) => name === 'list-orders');
      rule.tenant = { from: 'header.X-Tenant' };
    });
    await world.apply(namespace, calmKeys(), isolated, service('web', { 'access-policy': 'orders' }), app('web'));
    await ready(namespace, 'app=web', 1);
    const url = `http://${await serviceAddress(world, namespace, 'web')}/orders`;
    await until('the Service answers', async () => (await statusAt(url)) === 401);
    const seen: string[] = [];
    for (const [sub, own] of [
      ['tom', 'acme'],
      ['tina', 'globex'],
    ] as const) {
      const token = await tokenFor(world, namespace, 'trading', { sub, roles: ['trader'], tenant_id: own }, '15s');
      for (const [asked, expected] of [
        [own, 200],
        [own === 'acme' ? 'globex' : 'acme', 403],
        [null, 403],
      ] as const) {
        const headers = { authorization: `Bearer ${token}`, ...(asked === null ? {} : { 'x-tenant': asked }) };
        const { status } = await world.client.request({ url, headers });
        assert.equal(status, expected, `${sub} of ${own} asks for ${asked}`);
        seen.push(`${sub} for ${asked ?? 'none'} ${status}`);
      }
    }
    return seen.join(', ');
  });
}

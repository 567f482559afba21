import assert from 'node:assert/strict';
import { serviceAddress } from './look.ts';
import { startOutside } from './outside.ts';
import type { Stage } from './scenario.ts';
import { app, policy, service } from './trading.ts';
import { until } from './world.ts';

/** Tokens of an issuer that is not ours (oidc-provider), by its JWKS. */
export async function externalIssuer({ world, scenario, ready, statusAt }: Stage): Promise<void> {
  await scenario('an external issuer', async (namespace) => {
    const outside = await startOutside(world, namespace);
    try {
      const { issuer, jwksUri, audience } = outside.issuer;
      const external = policy('orders', (spec) => {
        spec.authentication.jwt = [
          {
            name: 'outside',
            jwks: { uri: jwksUri, caSecretRef: { name: 'issuer-ca' }, allowPrivateAddresses: true },
            issuer,
            audiences: [audience],
            from: [{ header: 'Authorization', scheme: 'Bearer' }],
          },
        ];
        spec.rules = [{ name: 'candles', match: { paths: ['/candles'] }, allow: [{ authenticated: true }] }];
      });
      await world.apply(
        namespace,
        ...outside.objects,
        external,
        service('web', { 'access-policy': 'orders' }),
        app('web'),
      );
      await ready(namespace, 'app=web', 1);
      const url = `http://${await serviceAddress(world, namespace, 'web')}/candles`;
      await until('the Service answers', async () => (await statusAt(url)) === 401);
      const withToken = async (token: string): Promise<number> =>
        (await world.client.request({ url, headers: { authorization: `Bearer ${token}` } })).status;

      const first = await outside.ask<string>({ do: 'token' });
      assert.equal(await withToken(first), 200);
      assert.equal(await withToken(`${first.slice(0, -4)}AAAA`), 401);
      await outside.ask({ do: 'rotate', kid: 'second' });
      const second = await outside.ask<string>({ do: 'token' });
      // One refetch on an unknown kid, though not twice within the minimum interval.
      await until('the new key is known', async () => (await withToken(second)) === 200);
      return 'its token 200, altered 401, by a key made since 200';
    } finally {
      outside.close();
    }
  });
}

import assert from 'node:assert/strict';
import { serviceAddress } from './look.ts';
import type { Stage } from './scenario.ts';
import { app, calmKeys, policy, redis, service } from './trading.ts';
import { type Manifest, until } from './world.ts';

/** The token endpoints of the sidecars, with users that the application knows. */
function tokens(delivery: 'Body' | 'Cookie'): Manifest {
  return {
    keySetRef: { name: 'trading' },
    accessLifetime: '10s',
    refreshLifetime: '5m',
    login: { path: '/auth/login', credentials: { upstream: { path: '/internal/verify' } } },
    register: {
      path: '/auth/register',
      upstream: '/internal/register',
      password: { minLength: 8, classes: ['Upper', 'Lower', 'Digit', 'Special'] },
    },
    refresh: { path: '/auth/refresh' },
    logout: { path: '/auth/logout' },
    delivery,
  };
}

/** The example's policy with token endpoints; `delivery` as in its spec. */
export function issuingPolicy(delivery: 'Body' | 'Cookie'): Manifest {
  return policy('orders', (spec) => {
    spec.store = { redis: { secretRef: { name: 'redis-url' } } };
    spec.tokens = tokens(delivery);
    // Pages of the browser may fetch.
    if (delivery === 'Cookie') spec.securityHeaders = { preset: 'Strict' };
    spec.authentication.revocation = { onStoreFailure: 'Deny', maxStaleness: '1s' };
    spec.authentication.jwt[0].from.push({ cookie: '__Host-access_token' });
    spec.rules.push({
      name: 'logout',
      match: { paths: ['/auth/logout'], methods: ['POST'] },
      allow: [{ anonymous: true }],
    });
  });
}

/** Users of the application sign in at the sidecars, and out again. */
export async function logins({ world, scenario, ready, statusAt }: Stage): Promise<void> {
  await scenario('upstream login', async (namespace) => {
    await world.apply(
      namespace,
      ...redis(),
      calmKeys(),
      issuingPolicy('Body'),
      service('web', { 'access-policy': 'orders', 'issue-tokens': 'true' }),
      app('web', undefined, 2),
    );
    await ready(namespace, 'app=web', 2);
    const base = `http://${await serviceAddress(world, namespace, 'web')}`;
    await until('the Service answers', async () => (await statusAt(`${base}/orders`)) === 401);
    const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
      const reply = await world.client.request({
        url: base + path,
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      return { status: reply.status, json: reply.body === '' ? null : JSON.parse(reply.body) };
    };
    const orders = async (token: string): Promise<number> =>
      (await world.client.request({ url: `${base}/orders`, headers: { authorization: `Bearer ${token}` } })).status;

    const wrong = await post('/auth/login', { email: 'tom@trading.example', password: 'guess' });
    const nobody = await post('/auth/login', { email: 'nobody@trading.example', password: 'guess' });
    assert.deepEqual([wrong.status, nobody.status], [401, 401]);
    assert.equal(wrong.json.code, nobody.json.code);

    const login = await until('log-in', async () => {
      const reply = await post('/auth/login', { email: 'tom@trading.example', password: 'tom-Demo-1' });
      return reply.status === 200 && reply.json;
    });
    assert.equal(await orders(login.access_token), 200);
    const refreshed = await post('/auth/refresh', { refresh_token: login.refresh_token });
    assert.equal(refreshed.status, 200);
    assert.notEqual(refreshed.json.refresh_token, login.refresh_token);
    assert.equal(await orders(refreshed.json.access_token), 200);

    const weak = await post('/auth/register', { username: 'new', password: 'short' });
    assert.equal(weak.status, 400);
    const strong = await post('/auth/register', { username: 'new', password: 'Long-enough-1' });
    assert.equal(strong.status, 201);

    const authorization = `Bearer ${refreshed.json.access_token}`;
    const out = await post('/auth/logout', { refresh_token: refreshed.json.refresh_token }, { authorization });
    assert.ok(out.status === 200 || out.status === 204, `logout: ${out.status}`);
    assert.equal((await post('/auth/refresh', { refresh_token: refreshed.json.refresh_token })).status, 401);
    // On both pods within maxStaleness.
    await until('the token is refused everywhere', async () => {
      const replies = await world.client.burst({ url: `${base}/orders`, headers: { authorization }, count: 12 });
      return replies.every(({ status }) => status === 401);
    });
    return `wrong 401, unknown 401, log-in 200, refresh 200, a weak password breaks ${weak.json.errors.length} rules, registered 201, logged out: refused by both pods`;
  });
}

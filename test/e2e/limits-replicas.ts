import assert from 'node:assert/strict';
import { serviceAddress, tokenFor } from './look.ts';
import { podAddress, type Stage } from './scenario.ts';
import { app, calmKeys, policy, redis, service } from './trading.ts';
import { type Manifest, until, type World } from './world.ts';

const TRAFFIC_PORT = 14180;
const PODS = 3;

/** Limits that the tests can use up. */
function limits(): Manifest {
  return {
    apiVersion: 'portcullis.dev/v1alpha1',
    kind: 'RateLimitPolicy',
    metadata: { name: 'standard' },
    spec: {
      store: { redis: { secretRef: { name: 'redis-url' } } },
      limits: [
        { name: 'orders', match: { paths: ['/orders/**'] }, key: ['user'], rate: '30/1m' },
        {
          name: 'cancel-lane',
          match: { paths: ['/orders/{id}'], methods: ['DELETE'] },
          key: ['user'],
          lane: 'Reserved',
          rate: '600/1m',
        },
      ],
      threats: { bruteForce: { failures: 5, within: '5m', keys: ['ip', 'user'], block: '10m' } },
    },
  };
}

/** A policy whose sidecars take log-ins, so that they see failed ones. */
function access(): Manifest {
  return policy('orders', (spec) => {
    spec.tokens = {
      keySetRef: { name: 'trading' },
      accessLifetime: '10s',
      login: { path: '/auth/login', credentials: { upstream: { path: '/internal/verify' } } },
    };
    spec.rules.push({
      name: 'cancel-order',
      match: { paths: ['/orders/{id}'], methods: ['DELETE'] },
      allow: [{ permissions: ['orders:write'] }],
    });
  });
}

/** Status of a request that a pod's own application container makes, as another address than the test's. */
async function fromPod(world: World, namespace: string, pod: Manifest, url: string): Promise<number> {
  const script = `fetch(${JSON.stringify(url)}).then((r) => console.log(r.status), (e) => console.log(0, e.cause))`;
  const { stdout } = await world.run('kubectl', [
    'exec',
    '-n',
    namespace,
    pod.metadata.name,
    '-c',
    'api',
    '--',
    'node',
    '-e',
    script,
  ]);
  return Number(stdout.trim().split(' ')[0]);
}

/** Three pods count together, a reserved lane stays open, and who is blocked by one is blocked by all. */
export async function replicas({ world, scenario, ready, statusAt }: Stage): Promise<void> {
  const { client } = world;
  await scenario('limits over three pods', async (namespace) => {
    await world.apply(
      namespace,
      ...redis(),
      calmKeys(),
      access(),
      limits(),
      service('web', { 'access-policy': 'orders', 'rate-limit-policy': 'standard', 'issue-tokens': 'true' }),
      app('web', undefined, PODS),
    );
    const pods = await ready(namespace, 'app=web', PODS);
    const base = `http://${await serviceAddress(world, namespace, 'web')}`;
    await until('the Service answers', async () => (await statusAt(`${base}/orders`)) === 401);
    await until('all count in Redis', async () => {
      const warm = {
        authorization: `Bearer ${await tokenFor(world, namespace, 'trading', { sub: `w${Date.now()}`, roles: ['trader'] }, '15s')}`,
      };
      await client.burst({ url: `${base}/orders`, headers: warm, count: 20 });
      const metrics = await Promise.all(
        pods.map((pod) => client.request({ url: `http://${podAddress(pod)}:14181/metrics` })),
      );
      return metrics.every((reply) => /^portcullis_store_degraded 0$/m.test(reply.body));
    });

    const token = await tokenFor(world, namespace, 'trading', { sub: 'tom', roles: ['trader'] }, '20s');
    const headers = { authorization: `Bearer ${token}` };
    const statuses: number[] = [];
    for (let at = 0; at < 90; at++) {
      const pod = pods[at % PODS];
      statuses.push(
        (await client.request({ url: `http://${podAddress(pod)}:${TRAFFIC_PORT}/orders`, headers })).status,
      );
    }
    const admitted = statuses.filter((status) => status === 200).length;
    assert.ok(admitted <= 30 && admitted >= 29, `${admitted} of 90 admitted`);
    const cancels = await client.burst({ url: `${base}/orders/ord-0`, method: 'DELETE', headers, count: 30 });
    assert.ok(
      cancels.every(({ status }) => status === 404),
      'the application answers each of them',
    );

    const guess = {
      url: '',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'tom', password: 'guess' }),
    };
    const [first] = pods;
    for (let at = 0; at < 5; at++) {
      const reply = await client.request({ ...guess, url: `http://${podAddress(first)}:${TRAFFIC_PORT}/auth/login` });
      assert.equal(reply.status, 401);
    }
    const blockedAt = performance.now();
    const everywhere = async (): Promise<readonly { status: number; body: string }[]> =>
      Promise.all(pods.map((pod) => client.request({ url: `http://${podAddress(pod)}:${TRAFFIC_PORT}/candles` })));
    const blocked = await until('blocked on all pods', async () => {
      const replies = await everywhere();
      return replies.every(({ body }) => body.includes('"code":"blocked"')) && replies;
    });
    const seconds = (performance.now() - blockedAt) / 1_000;
    assert.equal(
      await fromPod(world, namespace, first, `http://${podAddress(pods[1])}:${TRAFFIC_PORT}/candles`),
      401,
      'others are not blocked',
    );

    const listed = await world.portcullis(['blocks', '-n', namespace, 'svc/web']);
    assert.equal(listed.code, 0, listed.stderr);
    assert.match(listed.stdout, /ip/);
    // Where a pod found Redis slow just then, the command says so and exits with 1.
    await until('cleared', async () => {
      const { code } = await world.portcullis(['blocks', 'clear', '--all', '-n', namespace, 'svc/web']);
      return code === 0;
    });
    await until('free again on all pods', async () => (await everywhere()).every(({ status }) => status === 401));
    return `${admitted} of 90 admitted by ${PODS} pods together; 30 of 30 cancels served meanwhile; 5 failed log-ins at one pod: ${blocked[0]?.status} on all within ${seconds.toFixed(1)} s, others not; cleared by the plugin`;
  });
}

import assert from 'node:assert/strict';
import { condition, podsOf, serviceAddress, tokenFor } from './look.ts';
import { enforceNetworkPolicies } from './network-policies.ts';
import { podAddress, type Stage } from './scenario.ts';
import { app, hastyKeys, policy, service, tradingApi } from './trading.ts';
import { until } from './world.ts';

/** Both captures, at a Service, a pod address and a Job, and what they cost. */
export async function captures({ world, scenario, ready, statusAt }: Stage): Promise<void> {
  const { client } = world;

  await scenario('mixed rollout', async (namespace) => {
    const plain = app('web');
    await world.apply(namespace, hastyKeys(), policy('orders'), { ...service('web', {}) }, plain);
    await ready(namespace, 'app=web', 1);
    const guarded = app('web-guarded', (_container, spec) => (spec.containers[0].env[1].value = '3000'));
    guarded.spec.selector.matchLabels = { app: 'web', guarded: 'yes' };
    guarded.spec.template.metadata = {
      labels: { app: 'web', guarded: 'yes' },
      annotations: { 'portcullis.dev/access-policy': 'orders' },
    };
    await world.apply(namespace, guarded);
    await ready(namespace, 'app=web', 2);
    // The application answers this path to anybody.
    const url = `http://${await serviceAddress(world, namespace, 'web')}/candles?symbol=AAPL`;
    const statuses = await until('both pods answer', async () => {
      const replies = (await client.burst({ url, count: 30 })).map(({ status }) => status);
      const plainOnes = replies.filter((status) => status === 200).length;
      const guardedOnes = replies.filter((status) => status === 401).length;
      return plainOnes > 0 && guardedOnes > 0 && plainOnes + guardedOnes === 30 && [plainOnes, guardedOnes];
    });
    return `of 30 requests ${statuses[0]} answered by the plain pod, ${statuses[1]} refused by the guarded one`;
  });

  await scenario('kubectl portcullis protect', async (namespace) => {
    // Pods as young as these would be evicted, and come back with a sidecar; a PodDisruptionBudget is honoured.
    const budget = {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: 'web' },
      spec: { maxUnavailable: 0, selector: { matchLabels: { app: 'web' } } },
    };
    await world.apply(namespace, hastyKeys(), policy('orders'), budget, service('web', {}), app('web', undefined, 2));
    await ready(namespace, 'app=web', 2);
    const status = async () => (await world.portcullis(['status', 'svc/web', '-n', namespace])).stdout;
    assert.match(await status(), /Nothing in namespace/);
    await world.kubectl(['annotate', 'service', 'web', '-n', namespace, 'portcullis.dev/access-policy=orders']);
    assert.match(await status(), /runs without a sidecar.*kubectl portcullis protect/);
    const { code, stdout, stderr } = await world.portcullis([
      'protect',
      'svc/web',
      '-n',
      namespace,
      '--timeout',
      '90s',
    ]);
    assert.equal(code, 0, stderr);
    assert.equal(
      (await client.request({ url: `http://${await serviceAddress(world, namespace, 'web')}/orders` })).status,
      401,
    );
    return stdout.trim();
  });

  await scenario('Bind, numeric port and headless Service', async (namespace) => {
    const bound = app('desk', (container) => delete container.ports[0].name, 1);
    bound.spec.template.spec.containers[0].readinessProbe.httpGet.port = 3000;
    bound.spec.template.spec.containers[0].livenessProbe.httpGet.port = 3000;
    const ports = [{ name: 'http', port: 80, targetPort: 3000 }];
    await world.apply(
      namespace,
      hastyKeys(),
      policy('orders'),
      service('desk', { 'access-policy': 'orders', capture: 'Bind', 'bind-env': 'HOST' }, { ports }),
      { ...service('desk-headless', {}, { clusterIP: 'None', selector: { app: 'desk' }, ports: [{ port: 3000 }] }) },
      bound,
    );
    const [pod] = await ready(namespace, 'app=desk', 1);
    const direct = await client.request({ url: `http://${podAddress(pod)}:3000/orders` });
    assert.equal(direct.status, 401, 'a dial of the pod meets the sidecar');
    const through = `http://${await serviceAddress(world, namespace, 'desk')}/orders`;
    await until('the Service answers', async () => (await statusAt(through)) === 401);
    const headers = {
      authorization: `Bearer ${await tokenFor(world, namespace, 'trading', { sub: 'tom', roles: ['trader'] }, '15s')}`,
    };
    assert.equal((await client.request({ url: through, headers })).status, 200);
    const { stdout } = await world.run('kubectl', [
      'get',
      'endpointslices',
      '-n',
      namespace,
      '-l',
      'kubernetes.io/service-name=desk-headless',
      '-o',
      'json',
    ]);
    const [slice] = JSON.parse(stdout).items;
    assert.deepEqual([slice.ports[0].port, slice.endpoints[0].addresses[0]], [3000, podAddress(pod)]);
    await until('Protected', async () => {
      const [now] = await podsOf(world, namespace, 'app=desk');
      return condition(now, 'portcullis.dev/Protected').status === 'True';
    });
    return 'numeric Service and pod address meet the sidecar (401), with a token 200, headless endpoints as before; Protected True';
  });

  await scenario('Bind, an app that binds every address', async (namespace) => {
    await world.apply(
      namespace,
      hastyKeys(),
      policy('orders'),
      service('greedy', { 'access-policy': 'orders', capture: 'Bind' }),
      app('greedy'),
    );
    const pod = await until('the app has crashed', async () => {
      const [one] = await podsOf(world, namespace, 'app=greedy');
      return one?.status?.containerStatuses?.[0]?.restartCount > 0 && one;
    });
    assert.notEqual(condition(pod, 'Ready').status, 'True');
    const { stdout } = await world.run('kubectl', ['logs', '-n', namespace, pod.metadata.name, '-c', 'portcullis']);
    assert.match(stdout, /127\.0\.0\.1|bind-env/);
    const reply = await client.request({ url: `http://${podAddress(pod)}:3000/healthz` });
    assert.notEqual(reply.status, 200);
    return `fails closed (${reply.status}), and the sidecar's log says why`;
  });

  await scenario('a Job ends', async (namespace) => {
    const { deployment } = tradingApi();
    const template = deployment.spec.template;
    template.metadata = { labels: { app: 'job' }, annotations: { 'portcullis.dev/access-policy': 'orders' } };
    template.spec.restartPolicy = 'Never';
    const [container] = template.spec.containers;
    container.command = ['node', '-e', 'setTimeout(() => {}, 1000)'];
    delete container.readinessProbe;
    delete container.livenessProbe;
    await world.apply(namespace, hastyKeys(), policy('orders'), {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'once' },
      spec: { template, backoffLimit: 0 },
    });
    await world.kubectl(['wait', '--for=condition=complete', 'job/once', '-n', namespace, '--timeout=60s']);
    const [pod] = await podsOf(world, namespace, 'app=job');
    assert.equal(pod.spec.initContainers[0].name, 'portcullis');
    return 'complete, with a sidecar';
  });

  await scenario('network-policy: Generate closes the app port', async (namespace) => {
    await world.apply(
      namespace,
      hastyKeys(),
      policy('orders'),
      service('open', { 'access-policy': 'orders' }),
      service('shut', { 'access-policy': 'orders', 'network-policy': 'Generate' }),
      app('open'),
      app('shut'),
    );
    const [open] = await ready(namespace, 'app=open', 1);
    const [shut] = await ready(namespace, 'app=shut', 1);
    await until('a NetworkPolicy', async () => (await world.list('networkpolicies', namespace)).length === 1);
    const dials = await enforceNetworkPolicies(world, namespace, async (dial) => ({
      openApp: await dial(podAddress(open), 3000),
      shutApp: await dial(podAddress(shut), 3000),
      shutSidecar: await dial(podAddress(shut), 14180),
    }));
    assert.deepEqual(dials, { openApp: 'open', shutApp: 'timeout', shutSidecar: 'open' });
    return `from another pod: app port ${dials.shutApp}, sidecar ${dials.shutSidecar}; without the annotation app port ${dials.openApp}`;
  });

  await scenario('pod start with and without the sidecar', async (namespace) => {
    await world.apply(namespace, hastyKeys(), policy('orders'));
    await until(
      'a bundle',
      async () => condition(await world.get('accesspolicy', 'orders', namespace), 'Ready').status === 'True',
    );
    const startOf = async (name: string, annotations: Record<string, string>): Promise<number> => {
      const { spec } = app(name).spec.template;
      spec.containers[0].readinessProbe.periodSeconds = 1;
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name, annotations }, spec };
      await world.kubectl(['create', '-n', namespace, '-f', '-'], JSON.stringify(pod));
      const began = performance.now();
      await world.kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '-n', namespace, '--timeout=60s']);
      return (performance.now() - began) / 1_000;
    };
    const plain: number[] = [];
    const guarded: number[] = [];
    for (let round = 0; round < 3; round++) {
      plain.push(await startOf(`plain-${round}`, {}));
      guarded.push(await startOf(`guarded-${round}`, { 'portcullis.dev/access-policy': 'orders' }));
    }
    const median = (seconds: number[]): string => seconds.sort((a, b) => a - b)[1]!.toFixed(1);
    return `until Ready, median of 3: ${median(plain)} s without, ${median(guarded)} s with the sidecar`;
  });

  await scenario('a pod with 100 containers', async (namespace) => {
    const many = app('many', (container, spec) => {
      for (let index = 1; index < 100; index++)
        spec.containers.push({
          ...container,
          name: `c${index}`,
          ports: [],
          readinessProbe: undefined,
          livenessProbe: undefined,
        });
    });
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'many', labels: { app: 'many' }, annotations: { 'portcullis.dev/access-policy': 'orders' } },
      spec: many.spec.template.spec,
    };
    const { stdout, code, stderr } = await world.run(
      'kubectl',
      ['create', '-n', namespace, '--dry-run=server', '-o', 'json', '-f', '-'],
      JSON.stringify(pod),
    );
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).spec.initContainers[0].name, 'portcullis');
    return 'injected';
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installPortcullis } from './installation.ts';
import { condition, podsOf, readyPods, serviceAddress, tokenFor } from './look.ts';
import { enforceNetworkPolicies } from './network-policies.ts';
import { accessPolicy, hastyKeys, restrictedNamespace, tradingApi } from './trading.ts';
import { type Manifest, startWorld, timed, until } from './world.ts';

const ANNOTATION = 'portcullis.dev/';

/** The example's Deployment under another name, with other environment or ports. */
function app(name: string, change: (container: Manifest, spec: Manifest) => void = () => {}, replicas = 1): Manifest {
  const { deployment } = tradingApi();
  deployment.metadata.name = name;
  deployment.spec.replicas = replicas;
  deployment.spec.selector.matchLabels = { app: name };
  deployment.spec.template.metadata.labels = { app: name };
  change(deployment.spec.template.spec.containers[0], deployment.spec.template.spec);
  return deployment;
}

function service(name: string, annotations: Record<string, string>, spec: object = {}): Manifest {
  const prefixed = Object.fromEntries(Object.entries(annotations).map(([key, value]) => [ANNOTATION + key, value]));
  const ports = [{ name: 'http', port: 80, targetPort: 'http' }];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, annotations: prefixed },
    spec: { selector: { app: name }, ports, ...spec },
  };
}

function policy(name: string, change: (spec: Manifest) => void = () => {}): Manifest {
  const made = accessPolicy();
  made.metadata.name = name;
  change(made.spec);
  return made;
}

test('captures, and what cannot be guarded, in a real cluster', async (t) => {
  const world = await startWorld();
  if ('reason' in world) {
    if (process.env['REQUIRE_CLUSTER'] === '1') throw new Error(world.reason);
    return t.skip(world.reason);
  }
  t.after(() => world.stop());
  const { client } = world;
  const say = (text: string): void => console.log(`     e2e: ${text}`);
  /** A scenario in a namespace of its own. */
  const scenario = async (name: string, work: (namespace: string) => Promise<string>, labels = {}): Promise<void> => {
    await t.test(name, async () => {
      const namespace = name
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .replace(/^-|-$/g, '')
        .slice(0, 40);
      await world.apply('default', restrictedNamespace(namespace, labels));
      const { seconds, result } = await timed(() => work(namespace));
      say(`${name}: ${result} (${seconds.toFixed(1)} s)`);
      await world.kubectl(['delete', 'namespace', namespace, '--wait=false']);
    });
  };
  const ready = (namespace: string, selector: string, count: number) =>
    until(`${count} ready pods of ${selector}`, async () => {
      const pods = await readyPods(world, namespace, selector);
      return pods.length === count && pods;
    });
  const podAddress = (pod: Manifest): string => pod.status.podIP;
  const statusAt = async (url: string): Promise<number> => (await client.request({ url })).status;

  await installPortcullis(world);

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
    await until('an Event that the pods run without a sidecar', async () =>
      (await world.list('events', namespace)).some(({ reason }) => reason === 'NotInjected'),
    );
    await ready(namespace, 'app=web', 2);
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

  await scenario('two namespaces share one issuer', async (namespace) => {
    const auth = `${namespace.slice(0, 20)}-auth`;
    await world.apply('default', restrictedNamespace(auth));
    const keys = hastyKeys();
    await world.apply(auth, keys);
    const shared = policy('orders', (spec) => {
      spec.authentication.jwt[0].keySetRef = { name: 'trading', namespace: auth };
    });
    await world.apply(namespace, shared, service('web', { 'access-policy': 'orders' }), app('web'));
    const refused = await until('RefNotPermitted', async () => {
      const accepted = condition(await world.get('accesspolicy', 'orders', namespace), 'Accepted');
      return accepted.reason === 'RefNotPermitted' && accepted.message;
    });
    assert.match(refused, /usableFrom/);
    await world.kubectl(['label', 'namespace', namespace, 'desk=equities']);
    keys.spec.usableFrom = { namespaceSelector: { matchLabels: { desk: 'equities' } } };
    await world.apply(auth, keys);
    await ready(namespace, 'app=web', 1);
    const url = `http://${await serviceAddress(world, namespace, 'web')}/orders`;
    const headers = {
      authorization: `Bearer ${await tokenFor(world, auth, 'trading', { sub: 'tom', roles: ['trader'] }, '15s')}`,
    };
    await until('a token of the other namespace', async () => (await client.request({ url, headers })).status === 200);
    return `first RefNotPermitted, with usableFrom a token of ${auth} is 200`;
  });

  await scenario('a policy that does not exist yet', async (namespace) => {
    const output = await world.apply(
      namespace,
      hastyKeys(),
      service('web', { 'access-policy': 'ordres' }),
      app('web'),
      policy('orders'),
    );
    assert.match(output, /Warning/);
    const pod = await until('a pod that waits', async () => {
      const [one] = await podsOf(world, namespace, 'app=web');
      return one?.status?.containerStatuses?.[0]?.state?.running !== undefined && one;
    });
    assert.notEqual(condition(pod, 'Ready').status, 'True');
    assert.equal(await statusAt(`http://${podAddress(pod)}:14180/orders`), 503);
    const readyz = await client.request({ url: `http://${podAddress(pod)}:14181/readyz` });
    assert.match(readyz.body, /PolicyNotFound/);
    await world.apply(namespace, policy('ordres'));
    await ready(namespace, 'app=web', 1);
    assert.equal(await statusAt(`http://${podAddress(pod)}:14180/orders`), 401);
    return `Warning, then unready with ${readyz.body.trim().split('\n')[0]}; ready once applied`;
  });

  await scenario('two Services that disagree', async (namespace) => {
    await world.apply(
      namespace,
      hastyKeys(),
      policy('orders'),
      policy('others'),
      service('web', { 'access-policy': 'orders' }),
      service('web-too', { 'access-policy': 'others' }, { selector: { app: 'web' } }),
      app('web'),
    );
    const pod = await until('a pod that refuses', async () => {
      const [one] = await podsOf(world, namespace, 'app=web');
      return one?.status?.containerStatuses?.[0]?.state?.running !== undefined && one;
    });
    const readyz = await until('readiness says why', async () => {
      const { body } = await client.request({ url: `http://${podAddress(pod)}:14181/readyz` });
      return body.includes('Conflicted') && body;
    });
    assert.equal(await statusAt(`http://${podAddress(pod)}:14180/orders`), 503);
    return readyz.trim().split('\n')[0] ?? '';
  });

  await scenario('numeric target port under Takeover', async (namespace) => {
    const output = await world.apply(
      namespace,
      service('web', { 'access-policy': 'orders' }, { ports: [{ port: 80, targetPort: 3000 }] }),
    );
    assert.match(output, /Warning.*targetPort/s);
    return output.split('\n').find((line) => line.includes('Warning')) ?? '';
  });

  await scenario(
    'hostNetwork and an opt-out under Required',
    async (namespace) => {
      await world.kubectl([
        'label',
        'namespace',
        namespace,
        'pod-security.kubernetes.io/enforce=privileged',
        '--overwrite',
      ]);
      await world.kubectl(['annotate', 'namespace', namespace, 'portcullis.dev/access-policy=orders']);
      await world.apply(namespace, hastyKeys(), policy('orders'));
      const host = app('host', (_container, spec) => {
        spec.hostNetwork = true;
      });
      const out = app('out');
      out.spec.template.metadata.annotations = { 'portcullis.dev/inject': 'false' };
      await world.apply(namespace, service('host', {}), service('out', {}), host, out);
      const denied = await until('hostNetwork refused', async () => {
        const events = await world.list('events', namespace);
        return events.find(({ message }) => /hostNetwork/.test(message ?? ''))?.message;
      });
      const [pod] = await ready(namespace, 'app=out', 1);
      assert.equal(pod.spec.initContainers[0].name, 'portcullis', 'the opt-out does not count');
      assert.deepEqual(await podsOf(world, namespace, 'app=host'), []);
      return denied;
    },
    { 'portcullis.dev/policy': 'Required' },
  );

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
});

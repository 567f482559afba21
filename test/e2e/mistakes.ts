import assert from 'node:assert/strict';
import { condition, podsOf, serviceAddress, tokenFor } from './look.ts';
import { podAddress, type Stage } from './scenario.ts';
import { app, hastyKeys, policy, restrictedNamespace, service } from './trading.ts';
import { until } from './world.ts';

/** What people get wrong, and how it is said to them; nothing is open meanwhile. */
export async function mistakes({ world, scenario, ready, statusAt }: Stage): Promise<void> {
  const { client } = world;

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
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { KubeEventRecorder } from '../../operator/kube/events.ts';
import { connectKubeClient } from '../../operator/kube/https-kube-client.ts';
import { KubeError } from '../../operator/kube/kube-client.ts';
import { loadKubeConfig, namespaceOf } from '../../operator/kube/kube-config.ts';
import { KubeMetrics } from '../../operator/kube/kube-metrics.ts';
import { LEASES, LeaderElection } from '../../operator/kube/lease.ts';
import { NAMESPACES, PODS, type Pod, SECRETS, type Secret } from '../../operator/kube/objects.ts';
import { Reflector } from '../../operator/kube/reflector.ts';
import { until } from '../../operator/kube/testing/until.ts';
import { apiServerFor, kubectlFor } from '../cluster/require-api-server.ts';

const NAMESPACE = 'kube-client';
const log = pino({ level: 'silent' });
const metrics = new KubeMetrics(new Registry());

function secret(name: string, data: Readonly<Record<string, string>> = {}): Secret {
  return { metadata: { namespace: NAMESPACE, name }, data };
}

function pod(name: string): Pod {
  return {
    metadata: { namespace: NAMESPACE, name },
    spec: { containers: [{ name: 'app', image: 'example.com/app:1' }] },
  };
}

describe('the operator runtime on a real kube-apiserver', async () => {
  it('does what its ports promise', async (t) => {
    const server = await apiServerFor(t);
    if (!server) return;
    const kubeConfig = loadKubeConfig({ path: server.kubeconfig });
    const client = connectKubeClient(kubeConfig, { requestsPerSecond: 2000, burst: 2000 });
    t.after(() => client.close());
    assert.equal(namespaceOf(kubeConfig), 'default');
    await client.create(NAMESPACES, { metadata: { name: NAMESPACE } });

    await t.test('reads, writes and deletes objects', async () => {
      const made = await client.create(SECRETS, secret('a', { k: 'MQ==' }));
      assert.equal(made.kind, 'Secret');
      assert.equal('managedFields' in made.metadata, false);
      assert.deepEqual(await client.get(SECRETS, made.metadata), made);
      assert.equal(await client.get(SECRETS, { namespace: NAMESPACE, name: 'none' }), null);
      await assert.rejects(client.create(SECRETS, secret('a')), { status: 409, reason: 'AlreadyExists' });

      const changed = await client.replace(SECRETS, { ...made, data: { k: 'Mg==' } });
      assert.deepEqual(changed.data, { k: 'Mg==' });
      await assert.rejects(client.replace(SECRETS, { ...made, data: {} }), { status: 409, reason: 'Conflict' });
      await assert.rejects(client.replace(SECRETS, secret('none')), { status: 404, reason: 'NotFound' });

      const patched = await client.patch(SECRETS, made.metadata, {
        metadata: { labels: { a: '1' } },
        data: { k: null },
      });
      assert.deepEqual([patched.metadata.labels, patched.data], [{ a: '1' }, undefined]);

      for (const only of [{ uid: 'another-uid' }, { resourceVersion: made.metadata.resourceVersion }]) {
        assert.equal(await client.delete(SECRETS, made.metadata, only), false);
      }
      assert.equal(await client.delete(SECRETS, made.metadata, { uid: made.metadata.uid }), true);
      assert.equal(await client.delete(SECRETS, made.metadata), false);
    });

    await t.test('applies its own fields, over others, and takes away those it leaves out', async () => {
      await client.create(SECRETS, secret('applied', { theirs: 'MQ==' }));
      const first = await client.apply(SECRETS, secret('applied', { ours: 'MQ==', theirs: 'Mg==' }));
      assert.deepEqual(first.data, { ours: 'MQ==', theirs: 'Mg==' });
      const second = await client.apply(SECRETS, secret('applied', { theirs: 'Mw==' }));
      assert.deepEqual(second.data, { theirs: 'Mw==' });
      assert.deepEqual((await client.apply(SECRETS, secret('fresh', { k: 'MQ==' }))).data, { k: 'MQ==' });
    });

    await t.test('refuses unknown fields, and never repeats what was sent', async () => {
      const wrong = { ...secret('wrong', { k: 'bm90IHNlY3JldA==' }), dota: { k: 'dGhlIHNlY3JldA==' } };
      const error = await client.create(SECRETS, wrong).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof KubeError);
      assert.match(error.message, /unknown field "dota"/);
      assert.doesNotMatch(`${error.stack}`, /bm90|dGhl/);
      await assert.rejects(client.apply(SECRETS, wrong), { message: /dota/ });
    });

    await t.test('patches a pod’s status by merge keys, and evicts it', async () => {
      await client.create(PODS, pod('web'));
      const key = { namespace: NAMESPACE, name: 'web' };
      const condition = (type: string) => ({ status: { conditions: [{ type, status: 'True' }] } });
      const options = { subresource: 'status', strategic: true } as const;
      await client.patch(PODS, key, condition('portcullis.dev/Enforced'), options);
      const both = await client.patch(PODS, key, condition('portcullis.dev/Protected'), options);
      const types = both.status?.conditions?.map(({ type }) => type).sort();
      assert.deepEqual(types, ['portcullis.dev/Enforced', 'portcullis.dev/Protected']);
      const applied = await client.apply(PODS, { metadata: key, status: condition('x.dev/y').status } as Pod, 'status');
      assert.equal(applied.status?.conditions?.length, 3);
      await client.evict(key);
      assert.equal(await client.get(PODS, key), null);
      await assert.rejects(client.evict(key), { status: 404, reason: 'NotFound' });
    });

    await t.test(
      'lists by pages and selectors, and follows with a reflector across restarts of its watch',
      async (t) => {
        const names = Array.from({ length: 1200 }, (_, i) => `page-${i}`);
        for (let i = 0; i < names.length; i += 100) {
          await Promise.all(names.slice(i, i + 100).map((name) => client.create(SECRETS, labelled(name))));
        }
        const selection = { namespace: NAMESPACE, labelSelector: 'set=pages' };
        const listed = await client.list(SECRETS, selection);
        assert.deepEqual(listed.items.map(({ metadata }) => metadata.name).sort(), names.sort());
        for (const item of listed.items) assert.equal(item.kind, 'Secret');
        const few = (await client.list(SECRETS, { ...selection, limit: 3 })).items;
        assert.deepEqual(
          few.map(({ metadata }) => metadata.name),
          names.sort().slice(0, 3),
        );
        const [one] = (await client.list(SECRETS, { fieldSelector: 'metadata.name=page-7' })).items;
        assert.equal(one?.metadata.name, 'page-7');

        const times = { watchMs: 1000, stallMs: 60_000, firstBackoffMs: 10, mostBackoffMs: 100 };
        const reflector = new Reflector({ client, type: SECRETS, selection, log, metrics, times });
        t.after(() => reflector.stop());
        const heard = new Map<string, string>();
        reflector.onChange((now, before) => {
          const { name = '' } = (now ?? before)?.metadata ?? {};
          assert.equal(heard.get(name), before?.metadata.resourceVersion);
          if (now) heard.set(name, now.metadata.resourceVersion ?? '');
          else heard.delete(name);
        });
        reflector.start();
        await reflector.whenSynced();
        assert.equal(heard.size, 1200);
        const end = performance.now() + 5000; // several watches
        for (let i = 0; performance.now() < end; i++) {
          const key = { namespace: NAMESPACE, name: `page-${i % 20}` };
          if (i % 3 === 0) await client.delete(SECRETS, key);
          else if (i % 3 === 1) await client.apply(SECRETS, labelled(key.name));
          else
            await client
              .patch(SECRETS, key, { metadata: { labels: { set: i % 2 ? 'pages' : 'other' } } })
              .catch(() => null);
          await sleep(5);
        }
        const now = await client.list(SECRETS, selection);
        const versions = (items: Iterable<Secret>): string =>
          [...items]
            .map(({ metadata }) => `${metadata.name}@${metadata.resourceVersion}`)
            .sort()
            .join(' ');
        await until('the cache holds what the server does', () => versions(reflector.all()) === versions(now.items));
        assert.equal(
          [...heard]
            .map(([name, version]) => `${name}@${version}`)
            .sort()
            .join(' '),
          versions(now.items),
        );
        assert.deepEqual((await metrics.listenerErrors.get()).values, []);
        assert.deepEqual((await metrics.watchFailures.get()).values, []);
      },
    );

    await t.test('has one leader at a time: by release, by silence and by theft', async (t) => {
      const lease = { namespace: NAMESPACE, name: 'election' };
      const times = { leaseMs: 2000, renewMs: 1000, retryMs: 200 };
      const leading = new Set<string>();
      const began: string[] = [];
      const candidate = (identity: string) => {
        const own = connectKubeClient(kubeConfig, { timeoutMs: 500 });
        let reachable = true;
        const election = new LeaderElection({
          client: {
            get: (type, key) => (reachable ? own.get(type, key) : Promise.reject(new KubeError(0, 'NoAnswer', 'test'))),
            create: (type, object) => own.create(type, object),
            replace: (type, object) =>
              reachable ? own.replace(type, object) : Promise.reject(new KubeError(0, 'NoAnswer', 'test')),
          },
          lease,
          identity,
          times,
          log,
          metrics,
          onLeading: () => {
            assert.deepEqual([...leading], [], `${identity} leads too`);
            leading.add(identity);
            began.push(identity);
          },
          onLost: () => leading.delete(identity),
        });
        t.after(async () => {
          await election.release();
          own.close();
        });
        election.start();
        const cutOff = (): void => {
          reachable = false;
        };
        return { election, cutOff };
      };
      const a = candidate('a');
      await until('a leads', () => began.at(-1) === 'a');
      const b = candidate('b');
      await sleep(3000);
      assert.deepEqual([...leading], ['a']);
      leading.delete('a');
      await a.election.release();
      await until('b leads, for a has given it back', () => began.at(-1) === 'b');
      candidate('c');
      await sleep(500); // c has seen the Lease
      b.cutOff();
      await until('c leads, for b is not heard of', () => began.at(-1) === 'c');
      candidate('d');
      await sleep(500);
      await client.patch(LEASES, lease, { spec: { holderIdentity: 'thief' } });
      await until('d leads, for the thief does not renew', () => began.at(-1) === 'd');
      assert.deepEqual([...leading], ['d']);
      assert.equal((await client.get(LEASES, lease))?.spec?.holderIdentity, 'd');
    });

    await t.test('records Events that kubectl describe shows, folded', async (t) => {
      const kubectl = kubectlFor(t, server);
      if (!kubectl) return;
      const about = await client.create(PODS, pod('seen'));
      const recorder = new KubeEventRecorder({
        client,
        component: 'portcullis-operator',
        instance: 'op-0',
        log,
        metrics,
      });
      for (let i = 0; i < 3; i++)
        recorder.record({ about, type: 'Warning', reason: 'Unprotected', message: 'no sidecar' });
      await recorder.flush();
      recorder.record({ about, type: 'Warning', reason: 'Unprotected', message: 'no sidecar' });
      await recorder.flush();
      const namespaced = await client.get(NAMESPACES, { name: NAMESPACE });
      assert.ok(namespaced);
      recorder.record({ about: namespaced, type: 'Normal', reason: 'Guarded', message: 'from now on' });
      await recorder.flush();
      const { stdout } = await kubectl(['describe', 'pod', '-n', NAMESPACE, 'seen']);
      assert.match(stdout, /Warning +Unprotected +\S+ \(x4 over \S+\) +portcullis-operator +no sidecar/);
      assert.match((await kubectl(['describe', 'namespace', NAMESPACE])).stdout, /Name/);
      assert.match(
        (await kubectl(['get', 'events', '-n', 'default'])).stdout,
        /Guarded +namespace\/kube-client +from now on/,
      );
    });
  });
});

function labelled(name: string): Secret {
  return { metadata: { namespace: NAMESPACE, name, labels: { set: 'pages' } }, data: { k: 'MQ==' } };
}

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';
import type { Node, Pod } from '../kube/objects.ts';
import { FakeClock } from '../kube/testing/fake-clock.ts';
import { Acknowledgements } from './acknowledgements.ts';
import type { PolicyKey } from './enforcement.ts';
import { cacheOf, examplePod, exampleStatus, written } from './testing/example-pods.ts';

const orders: PolicyKey = { kind: 'Access', namespace: 'shop', name: 'orders' };
const first = { serial: 1, hash: 'aa' };
const second = { serial: 2, hash: 'bb' };
const node = (status: string): Node => ({
  metadata: { name: 'node-1', resourceVersion: status },
  status: { conditions: [{ type: 'Ready', status }] },
});

/** Sidecars by address; those that are not there do not answer. */
function setUp(t: TestContext, ...pods: Pod[]) {
  const clock = new FakeClock();
  const sidecars = new Map<string, SidecarStatus>();
  const asked: { at: number; address: string }[] = [];
  const changes: string[] = [];
  const podCache = cacheOf(...pods);
  const nodeCache = cacheOf(node('True'));
  const faults: string[] = [];
  let answer = (_address: string): Promise<void> => Promise.resolve();
  let onAsked = (): void => {};
  const acknowledgements = new Acknowledgements({
    pods: podCache,
    nodes: nodeCache,
    clock,
    random: () => 0.5,
    keySetsOf: (namespace, policy) => (namespace === 'shop' && policy === 'orders' ? ['auth/trading'] : []),
    async fetch(address, port) {
      asked.push({ at: clock.now(), address: `${address}:${port}` });
      await answer(address);
      const status = sidecars.get(address);
      if (status === undefined) throw new Error('ECONNREFUSED');
      return status;
    },
    onAsked: () => onAsked(),
    onFault: (pod, error) => faults.push(`${pod} ${error}`),
    onChange: ({ policies, keySets }) => changes.push(...policies.map(({ name }) => name), ...keySets),
  });
  t.after(() => acknowledgements.stop());
  return {
    clock,
    sidecars,
    asked,
    changes,
    pods: podCache,
    nodes: nodeCache,
    acknowledgements,
    faults,
    failOnce: () => {
      onAsked = () => {
        onAsked = () => {};
        throw new Error('cannot');
      };
    },
    hold: (until: (address: string) => Promise<void>) => {
      answer = until;
    },
  };
}

const at = (name: string, podIP: string, more: Parameters<typeof examplePod>[1] = {}) =>
  examplePod(name, { ...more, status: { podIP, ...more.status } });

function standings({ acknowledgements }: ReturnType<typeof setUp>) {
  const pods = [...acknowledgements.podsOf(orders)];
  return Object.fromEntries(
    pods.map((pod) => [pod.pod.metadata.name, acknowledgements.standing(pod, orders)?.standing.kind]),
  );
}

test('asks each counted pod at once, at its own address and admin port only', async (t) => {
  const { clock, asked, pods } = setUp(t, at('a', '10.0.0.1'), at('plain', '10.0.0.9', { injected: null }));
  await clock.advance(100);
  pods.set(at('b', '10.0.0.2', { injected: { adminPort: 15_000 } }));
  pods.set(at('c', '10.0.0.3', { status: { initContainerStatuses: [] } }));
  await clock.advance(100);
  assert.deepEqual(
    asked.map(({ address }) => address),
    ['10.0.0.1:14181', '10.0.0.2:15000'],
  );
});

test('an answer whose use fails ends nothing, and a first round ends when each pod was asked', async (t) => {
  const world = setUp(t, at('a', '10.0.0.1'), at('b', '10.0.0.2'));
  const { clock, sidecars, acknowledgements, faults, failOnce } = world;
  for (const address of ['10.0.0.1', '10.0.0.2']) sidecars.set(address, exampleStatus(first));
  acknowledgements.expect(orders, first);
  failOnce();
  let isAsked = false;
  void acknowledgements.whenAsked(5_000).then(() => {
    isAsked = true;
  });
  assert.equal(isAsked, false);
  await clock.advance(200);
  assert.equal(isAsked, true);
  assert.deepEqual(faults, ['shop/a Error: cannot']);
  assert.deepEqual(standings(world), { a: 'Current', b: 'Current' });
});

test('asks quickly while a bundle is awaited, and at rest once a minute', async (t) => {
  const world = setUp(t, at('a', '10.0.0.1'));
  const { clock, sidecars, asked, acknowledgements } = world;
  sidecars.set('10.0.0.1', exampleStatus(first));
  acknowledgements.expect(orders, first);
  await clock.advance(590_000);
  assert.ok(asked.length >= 10 && asked.length <= 11, `${asked.length} in 10 min`);

  asked.length = 0;
  acknowledgements.expect(orders, second);
  await clock.advance(2_000);
  assert.ok(asked.length >= 8, `${asked.length} in 2 s`);
  assert.deepEqual(standings(world), { a: 'Waiting' });
  sidecars.set('10.0.0.1', exampleStatus(second));
  await clock.advance(600);
  assert.deepEqual(standings(world), { a: 'Current' });
  asked.length = 0;
  await clock.advance(30_000);
  assert.equal(asked.length, 0);
});

test('asks quickly while a sidecar says that it is not ready, bundle or not', async (t) => {
  const { clock, sidecars, asked, acknowledgements } = setUp(t, at('a', '10.0.0.1'));
  sidecars.set('10.0.0.1', exampleStatus(first, { notReady: ['not listening yet'] }));
  acknowledgements.expect(orders, first);
  await clock.advance(2_000);
  assert.ok(asked.length >= 5, `${asked.length} in 2 s`);
  sidecars.set('10.0.0.1', exampleStatus(first));
  await clock.advance(2_000);
  asked.length = 0;
  await clock.advance(30_000);
  assert.equal(asked.length, 0);
});

test('expecting the same again asks nobody', async (t) => {
  const { clock, sidecars, asked, acknowledgements } = setUp(t, at('a', '10.0.0.1'));
  sidecars.set('10.0.0.1', exampleStatus(first));
  acknowledgements.expect(orders, first);
  await clock.advance(1_000);
  asked.length = 0;
  acknowledgements.expect(orders, { ...first });
  await clock.advance(1_000);
  assert.equal(asked.length, 0);
});

test('tells whose picture changed: when pods come, answer otherwise, are no longer counted, and go', async (t) => {
  const { clock, sidecars, changes, pods, nodes } = setUp(t);
  const heard = async (): Promise<string[]> => {
    await clock.advance(130_000);
    return changes.splice(0);
  };
  const both = ['orders', 'auth/trading'];
  sidecars.set('10.0.0.1', exampleStatus(first));
  pods.set(at('a', '10.0.0.1'));
  assert.deepEqual(await heard(), [...both, ...both], 'it came, it answered');
  assert.deepEqual(await heard(), [], 'it answers the same');
  sidecars.set('10.0.0.1', exampleStatus(second));
  assert.deepEqual(await heard(), both, 'it answers otherwise');
  nodes.set(node('False'));
  assert.deepEqual(await heard(), both, 'its node is not Ready');
  nodes.set(node('True'));
  assert.deepEqual(await heard(), both, 'its node is Ready');
  pods.set(written(at('a', '10.0.0.1', { metadata: { labels: { extra: 'label' } } })));
  assert.deepEqual(await heard(), [], 'something else about it changed');
  pods.delete({ namespace: 'shop', name: 'a' });
  assert.deepEqual(await heard(), both, 'it went');
});

test('a pod counts for the key sets of its policy, with the serial it said last, 0 when it never answered', async (t) => {
  const { clock, sidecars, pods, acknowledgements } = setUp(
    t,
    at('a', '10.0.0.1'),
    at('b', '10.0.0.2'),
    at('other', '10.0.0.3', { injected: { accessPolicy: 'other' } }),
    at('ending', '10.0.0.4', { metadata: { deletionTimestamp: '2030-01-01T00:00:00Z' } }),
  );
  sidecars.set('10.0.0.1', exampleStatus(second));
  await clock.advance(1_000);
  sidecars.clear();
  await clock.advance(120_000);
  const consumers = [
    { consumer: 'shop/a', serial: 2 },
    { consumer: 'shop/b', serial: 0 },
  ];
  assert.deepEqual(acknowledgements.of('auth/trading'), consumers);
  assert.deepEqual(acknowledgements.of('auth/else'), []);
  assert.equal(acknowledgements.highestSerial(orders), 2);

  pods.set(written(at('a', '10.0.0.1', { restartCount: 1 })));
  assert.equal(acknowledgements.of('auth/trading')[0]?.serial, 0, 'a sidecar that starts anew has loaded nothing');
});

test('the answer of a sidecar that was replaced meanwhile does not count', async (t) => {
  const world = setUp(t);
  const { clock, sidecars, pods, acknowledgements, hold } = world;
  const answered = Promise.withResolvers<void>();
  hold(() => answered.promise);
  sidecars.set('10.0.0.1', exampleStatus(first));
  acknowledgements.expect(orders, first);
  pods.set(at('a', '10.0.0.1'));
  await clock.advance(50);
  hold(() => new Promise(() => {}));
  pods.set(written(at('a', '10.0.0.1', { restartCount: 1 })));
  answered.resolve();
  await clock.advance(50);
  assert.deepEqual(standings(world), { a: 'Waiting' });
});

test('a serial far ahead of the clock is not believed, another pod’s is', async (t) => {
  const { clock, sidecars, acknowledgements } = setUp(t, at('a', '10.0.0.1'), at('liar', '10.0.0.2'));
  sidecars.set('10.0.0.1', exampleStatus({ serial: clock.epoch(), hash: 'aa' }));
  sidecars.set('10.0.0.2', exampleStatus({ serial: 2 ** 52, hash: 'aa' }));
  const before = clock.epoch();
  await clock.advance(1_000);
  assert.equal(acknowledgements.highestSerial(orders), before);
});

test('has at most 64 questions open, and asks all in the end', async (t) => {
  const names = Array.from({ length: 200 }, (_, i) => `10.0.1.${i}`);
  const { clock, asked, hold } = setUp(t, ...names.map((address) => at(address, address)));
  let open = 0;
  let most = 0;
  hold(async () => {
    most = Math.max(most, ++open);
    await new Promise<void>((resolve) => void clock.after(10, resolve));
    open--;
  });
  await clock.advance(5_000);
  assert.equal(most, 64);
  assert.equal(new Set(asked.map(({ address }) => address)).size, 200);
});

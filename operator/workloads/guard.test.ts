import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNOTATIONS, LABELS } from '../../policy/api/names.ts';
import { NAMESPACES, type Namespace, SERVICES, type Service } from '../kube/objects.ts';
import { FakeClock } from '../kube/testing/fake-clock.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { createGuard, needsGuard } from './guard.ts';

const asking = { annotations: { [ANNOTATIONS.accessPolicy]: 'orders' } };
const namespace = (metadata: object = {}): Namespace => ({ metadata: { name: 'shop', ...metadata } });
const service = (metadata: object = {}): Service => ({ metadata: { name: 'orders', namespace: 'shop', ...metadata } });

test('which namespaces need the guard', async (t) => {
  const policy = (word: string) => namespace({ labels: { [LABELS.policy]: word } });
  const table: readonly [string, Namespace, Service[], boolean][] = [
    ['nobody asks', namespace(), [service()], false],
    ['a Service asks', namespace(), [service({ name: 'a' }), service(asking)], true],
    ['the namespace asks', namespace(asking), [], true],
    ['Required', policy('Required'), [], true],
    ['Default', policy('Default'), [], true],
    ['Disabled', policy('Disabled'), [], false],
    ['a word that does not exist is read as Required', policy('Requird'), [], true],
  ];
  for (const [name, of, services, needed] of table) {
    await t.test(name, () => assert.equal(needsGuard(of, services), needed));
  }
});

async function setUp() {
  const client = new MemoryKubeClient();
  const clock = new FakeClock();
  await client.create(NAMESPACES, namespace());
  const excluded = new Set(['kube-system']);
  const caches = { namespaces: client.cache(NAMESPACES), services: client.cache(SERVICES) };
  const reconcile = createGuard({ client, clock, excluded, ...caches });
  const label = async () => (await client.get(NAMESPACES, { name: 'shop' }))?.metadata.labels?.[LABELS.guarded];
  const key = { namespace: 'shop', name: 'orders' };
  return { client, clock, reconcile, label, key };
}

test('labels at once, and removes the label when nothing has asked for a minute', async () => {
  const { client, clock, reconcile, label, key } = await setUp();
  await client.create(SERVICES, service(asking));
  assert.deepEqual(await reconcile('shop'), { afterMs: null });
  assert.equal(await label(), 'true');

  await client.delete(SERVICES, key);
  assert.deepEqual(await reconcile('shop'), { afterMs: 60_000 });
  await clock.advance(59_000);
  assert.deepEqual(await reconcile('shop'), { afterMs: 1_000 });
  assert.equal(await label(), 'true');
  await clock.advance(1_000);
  await reconcile('shop');
  assert.equal(await label(), undefined);
});

test('keeps the label of the webhook for a Service that the cache does not show yet', async () => {
  const { client, clock, reconcile, label, key } = await setUp();
  await client.patch(NAMESPACES, { name: 'shop' }, { metadata: { labels: { [LABELS.guarded]: 'true' } } });
  await reconcile('shop');
  await clock.advance(30_000);
  await client.create(SERVICES, service(asking));
  await reconcile('shop');
  await client.delete(SERVICES, key);
  await clock.advance(31_000);
  assert.deepEqual(await reconcile('shop'), { afterMs: 60_000 }, 'the minute begins anew');
  assert.equal(await label(), 'true');
});

test('asks the API server before it removes a label: a cache may lag behind', async () => {
  const { client, clock, label } = await setUp();
  await client.patch(NAMESPACES, { name: 'shop' }, { metadata: { labels: { [LABELS.guarded]: 'true' } } });
  await client.create(SERVICES, service(asking));
  const services = new MemoryKubeClient().cache(SERVICES);
  const reconcile = createGuard({ client, clock, excluded: new Set(), namespaces: client.cache(NAMESPACES), services });
  await reconcile('shop');
  await clock.advance(60_000);
  assert.deepEqual(await reconcile('shop'), { afterMs: 60_000 });
  assert.equal(await label(), 'true');
});

test('writes nothing where all is as it should be, nor in excluded namespaces', async () => {
  const { client, reconcile } = await setUp();
  await client.create(NAMESPACES, { metadata: { name: 'kube-system', ...asking } });
  client.requests.length = 0;
  for (const name of ['shop', 'kube-system', 'gone']) assert.deepEqual(await reconcile(name), { afterMs: null });
  assert.deepEqual(client.requests, []);
});

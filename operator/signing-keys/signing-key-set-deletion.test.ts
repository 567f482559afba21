import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNOTATIONS, KEY_SET_FINALIZER, OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import { SIGNING_KEY_SETS } from '../resources.ts';
import { ControllerBench, ESCROW } from './testing/controller-bench.ts';
import { FinalizingKubeClient } from './testing/finalizing-kube-client.ts';

async function finalizers(bench: ControllerBench): Promise<readonly string[]> {
  return (await bench.object())?.metadata.finalizers ?? [];
}

test('Retain: nothing carries a finalizer, the keys stay, and another set of the name goes on with them', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'kept');
  await bench.create();
  await bench.reconcile();
  assert.deepEqual(await finalizers(bench), []);
  assert.equal((await bench.object())?.metadata.annotations?.[OWN_ANNOTATIONS.initialised], 'true');
  const before = await bench.outputs();
  await bench.client.delete(SIGNING_KEY_SETS, bench.key);
  assert.deepEqual(await bench.reconcile(), { afterMs: null });
  assert.deepEqual(await bench.secrets(), ['auth.kept-keyring', 'auth.kept-outputs', 'kept-jwks']);
  await bench.create();
  await bench.reconcile();
  assert.deepEqual(await bench.outputs(), before);
});

test('the finalizer is there before any key, beside those of others, and exactly while the policy is Delete', async () => {
  const client = new FinalizingKubeClient();
  const bench = new ControllerBench(client, 'held');
  await bench.create({ deletionPolicy: 'Delete' });
  await bench.patch({ metadata: { finalizers: ['example.com/other'] } });
  const order: string[] = [];
  client.before = ({ verb, kind }) => {
    if (!['get', 'list'].includes(verb)) order.push(`${verb} ${kind}`);
  };
  await bench.reconcile();
  assert.deepEqual(order.slice(0, 2), ['patch SigningKeySet', 'create Secret']);
  assert.deepEqual(await finalizers(bench), ['example.com/other', KEY_SET_FINALIZER]);
  await bench.patch({ spec: { deletionPolicy: 'Retain' } });
  await bench.reconcile();
  assert.deepEqual(await finalizers(bench), ['example.com/other']);
});

test('a finalizer is only changed over the list that was read', async () => {
  const client = new FinalizingKubeClient();
  const bench = new ControllerBench(client, 'raced');
  await bench.create({ deletionPolicy: 'Delete' });
  client.before = async ({ verb }) => {
    if (verb !== 'patch') return;
    client.before = () => undefined;
    await bench.patch({ metadata: { finalizers: ['example.com/other'] } });
  };
  await assert.rejects(bench.reconcile(), { reason: 'Conflict' });
  assert.deepEqual(await finalizers(bench), ['example.com/other']);
  assert.deepEqual(await bench.secrets(), [], 'nothing before the finalizer');
});

test('Delete: everything but the escrow goes, then the set', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'gone');
  await bench.writeRecipients();
  await bench.create({ deletionPolicy: 'Delete', ...ESCROW });
  await bench.reconcile();
  assert.equal((await bench.secrets()).length, 4);
  await bench.client.delete(SIGNING_KEY_SETS, bench.key);
  assert.deepEqual(await bench.reconcile(), { afterMs: null });
  assert.equal(await bench.object(), null);
  assert.deepEqual(await bench.secrets(), ['auth.gone-escrow']);
  assert.deepEqual(bench.reasons().slice(-1), ['Erased']);
  assert.doesNotMatch(await bench.metric('portcullis_key_age_seconds'), /gone/);
});

test('Delete changed to Retain while the set is being deleted lets it go and keeps its keys', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'saved');
  await bench.create({ deletionPolicy: 'Delete' });
  await bench.reconcile();
  await bench.client.delete(SIGNING_KEY_SETS, bench.key);
  await bench.patch({ spec: { deletionPolicy: 'Retain' } });
  await bench.reconcile();
  assert.equal(await bench.object(), null);
  assert.equal((await bench.secrets()).length, 3);
});

test('a set that leaves and is not ours to hold is left alone', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'theirs');
  await bench.create();
  await bench.patch({ metadata: { finalizers: ['example.com/other'] } });
  await bench.client.delete(SIGNING_KEY_SETS, bench.key);
  const { writes } = bench;
  assert.deepEqual(await bench.reconcile(), { afterMs: null });
  assert.equal(bench.writes, writes);
});

test('keys that cannot be escrowed are not deleted, unless the annotation names this very set', async () => {
  const bench = new ControllerBench(new FinalizingKubeClient(), 'forced');
  await bench.create({ deletionPolicy: 'Delete', escrow: { ...ESCROW.escrow, required: false } });
  await bench.reconcile();
  await bench.client.delete(SIGNING_KEY_SETS, bench.key);
  assert.deepEqual(await bench.reconcile(), { afterMs: 60_000 });
  assert.deepEqual(await bench.conditions(), [
    'Accepted=True Accepted',
    'Ready=False EscrowUnavailable',
    'Enforced=False NoMatchingPods',
    'Degraded=True EscrowUnavailable',
  ]);
  assert.match(await bench.message('Ready'), /annotate it with portcullis.dev\/force-delete and its uid$/);
  await bench.annotate({ [ANNOTATIONS.forceDelete]: 'another-uid' });
  await bench.reconcile();
  assert.equal((await bench.secrets()).length, 3);
  await bench.annotate({ [ANNOTATIONS.forceDelete]: (await bench.object())?.metadata.uid ?? '' });
  await bench.reconcile();
  assert.equal(await bench.object(), null);
  assert.deepEqual(await bench.secrets(), []);
});

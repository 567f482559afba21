import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeKey, HOUR, SPEC } from '../../policy/keys/testing/fixtures.ts';
import { type ReconcileInput, reconcileKeySet } from './reconcile-key-set.ts';
import { MemoryKeyStore } from './testing/memory-key-store.ts';

class Bench {
  readonly store = new MemoryKeyStore();
  spec = SPEC;
  at = 1_000_000_000_000;
  acknowledged: { consumer: string; serial: number }[] = [];
  keys = 0;

  input(store = this.store): ReconcileInput {
    return {
      spec: this.spec,
      store,
      now: () => this.at,
      generateKey: async (algorithm) => fakeKey(++this.keys, algorithm),
      acknowledgements: this.acknowledged,
    };
  }

  async reconcile() {
    return await reconcileKeySet(this.input());
  }
}

const reasons = ({ events }: { events: readonly { reason: string }[] }) => events.map(({ reason }) => reason).join(' ');

test('a new key set comes to rest in one call and says when to come again', async () => {
  const bench = new Bench();
  const result = await bench.reconcile();
  assert.equal(
    reasons(result),
    'KeyringCreated OutputsWritten OutputsConfirmed KeyAdded OutputsWritten OutputsConfirmed',
  );
  assert.equal(result.halt, null);
  assert.deepEqual(
    result.outputs?.verificationKeys.map(({ kid }) => kid),
    ['k1', 'k2'],
  );
  assert(result.nextAt !== null && result.nextAt >= bench.at + 720 * HOUR && result.nextAt < bench.at + 721 * HOUR);
  assert.equal(reasons(await bench.reconcile()), '', 'nothing more to do');
});

test('outputs are read before the keyring, each time, and each effect is followed by reading', async () => {
  const bench = new Bench();
  await bench.reconcile();
  const effects = bench.store.log
    .join(' ')
    .split('readOutputs readKeyring')
    .map((effect) => effect.trim());
  assert.deepEqual(effects, [
    '',
    'writeKeyring',
    'writeOutputs',
    'writeKeyring',
    'writeKeyring',
    'writeOutputs',
    'writeKeyring',
    '',
  ]);
});

test('a lost race is planned again, and the loser reports nothing', async () => {
  const bench = new Bench();
  const rival = new Bench();
  let raced = false;
  bench.store.before = async (call) => {
    if (call !== 'writeKeyring' || raced) return;
    raced = true;
    rival.keys = 100;
    await reconcileKeySet(rival.input(bench.store));
  };
  const result = await bench.reconcile();
  assert.equal(reasons(result), '');
  assert.equal(result.outputs?.issuing.kid, 'k101');
});

test('rivals that always win end in keyring_conflict, to be tried later', async () => {
  const bench = new Bench();
  await bench.reconcile();
  bench.spec = { ...SPEC, rotateRequest: 'now' };
  bench.store.writeKeyring = () => new MemoryKeyStore().writeKeyring(bench.store.keyring!, 'never');
  await assert.rejects(bench.reconcile(), { code: 'keyring_conflict', retry: 'later' });
});

test('what the store throws is thrown, and the next call goes on from there', async () => {
  for (const call of ['readOutputs', 'readKeyring', 'writeKeyring', 'writeOutputs']) {
    for (let times = 1; times <= 3; times++) {
      const bench = new Bench();
      let left = times;
      bench.store.before = (name) => {
        if (name === call && --left === 0) throw new Error('store is away');
      };
      const failed = await bench.reconcile().then(
        () => false,
        () => true,
      );
      const result = await bench.reconcile();
      assert.equal(failed, left <= 0);
      assert.equal(result.halt, null);
      assert.equal(result.outputs?.verificationKeys.length, 2, `${call} ${times}`);
    }
  }
});

test('a lost keyring halts with what to do; the outputs stay', async () => {
  const bench = new Bench();
  await bench.reconcile();
  bench.store.keyring = null;
  const result = await bench.reconcile();
  assert.equal(result.halt?.reason, 'KeyringLost');
  assert.match(result.halt?.message ?? '', /restore it from a backup/);
  assert.equal(result.outputs?.serial, 2);
  assert.equal(bench.keys, 2, 'no key was made');
});

test('acknowledgements that do not come are waited for, and then passed over with a warning that names them', async () => {
  const bench = new Bench();
  await bench.reconcile();
  bench.spec = { ...SPEC, rotateRequest: 'now' };
  bench.acknowledged = [{ consumer: 'pod-a', serial: 1 }];
  bench.at += 24 * HOUR;
  const waiting = await bench.reconcile();
  assert.equal(waiting.nextAt, bench.at + 24 * HOUR);
  bench.at += 24 * HOUR;
  const { events } = await bench.reconcile();
  assert.match(events.find(({ reason }) => reason === 'ActivatedWithLaggards')?.message ?? '', /k2 signs.*pod-a/);
});

test('property 11: no event holds key material', async () => {
  const bench = new Bench();
  const events: unknown[] = [];
  for (const revocations of [[], [{ kid: 'k1', reason: 'stolen' }]]) {
    bench.spec = { ...bench.spec, revocations };
    for (let days = 0; days < 100; days++) {
      events.push(...(await bench.reconcile()).events);
      bench.at += 24 * HOUR;
    }
  }
  const text = JSON.stringify(events);
  assert(text.includes('KeyRevoked') && text.includes('KeyDropped') && text.includes('PrivateHalfErased'));
  assert(!/private-|[dxy]-\d/.test(text));
});

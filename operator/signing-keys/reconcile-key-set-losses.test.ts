import assert from 'node:assert/strict';
import { test } from 'node:test';
import { activeKid } from '../../policy/keys/outputs.ts';
import type { DeletionSpec } from '../../policy/keys/spec.ts';
import { HOUR, type SPEC } from '../../policy/keys/testing/fixtures.ts';
import { fakeRecipients, openedEscrow } from './testing/fake-recipients.ts';
import { ESCROWED, ending, message, ReconcileBench, reasons } from './testing/reconcile-bench.ts';

const deletions: readonly {
  name: string;
  deletion: DeletionSpec;
  spec?: typeof SPEC;
  meanwhile?: (bench: ReconcileBench) => void;
  effects: readonly string[];
  ends: string;
}[] = [
  { name: 'Retain keeps everything', deletion: { policy: 'Retain', forced: false }, effects: [], ends: 'Release' },
  {
    name: 'Delete removes everything',
    deletion: { policy: 'Delete', forced: false },
    effects: ['erase'],
    ends: 'Release',
  },
  {
    name: 'Delete, escrowed',
    deletion: { policy: 'Delete', forced: false },
    spec: ESCROWED,
    effects: ['erase'],
    ends: 'Release',
  },
  {
    name: 'Delete, escrowed to recipients that a deleted namespace took along',
    deletion: { policy: 'Delete', forced: false },
    spec: ESCROWED,
    meanwhile: (bench) => {
      bench.recipients = { kind: 'Unusable', message: 'gone' };
    },
    effects: ['erase'],
    ends: 'Release',
  },
  {
    name: 'Delete, not escrowed to everybody yet',
    deletion: { policy: 'Delete', forced: false },
    spec: ESCROWED,
    meanwhile: (bench) => {
      bench.recipients = fakeRecipients('AAAA', 'BBBB');
    },
    effects: ['writeEscrow', 'erase'],
    ends: 'Release',
  },
  {
    name: 'Delete, not escrowed and recipients of no use',
    deletion: { policy: 'Delete', forced: false },
    spec: ESCROWED,
    meanwhile: (bench) => {
      bench.recipients = { kind: 'Unusable', message: 'gone' };
      bench.store.escrow = null;
    },
    effects: [],
    ends: 'Halt EscrowUnavailable',
  },
  {
    name: 'the same, forced',
    deletion: { policy: 'Delete', forced: true },
    spec: ESCROWED,
    meanwhile: (bench) => {
      bench.recipients = { kind: 'Unusable', message: 'gone' };
      bench.store.escrow = null;
    },
    effects: ['erase'],
    ends: 'Release',
  },
];

for (const { name, deletion, spec, meanwhile, effects, ends } of deletions) {
  test(`deletion: ${name}`, async () => {
    const bench = new ReconcileBench(spec);
    await bench.reconcile();
    meanwhile?.(bench);
    bench.effects();
    const { keyring, outputs, exports } = bench.store;
    const hadEscrow = bench.store.escrow !== null;
    bench.delete(deletion);
    const result = await bench.reconcile();
    assert.equal(ending(result), ends);
    assert.deepEqual(bench.effects(), effects);
    const erased = effects.includes('erase');
    assert.equal(reasons(result), erased ? 'Erased' : '');
    assert.deepEqual(
      [bench.store.keyring, bench.store.outputs, bench.store.exports],
      erased ? [null, null, null] : [keyring, outputs, exports],
    );
    assert.equal(bench.store.escrow !== null, hadEscrow, 'the escrow stays');
  });
}

type Part = 'keyring' | 'outputs' | 'exports' | 'escrow' | 'traces';

const losses: readonly {
  lost: readonly Part[];
  acceptedLoss?: number;
  /** What it ends with; a number: with new keys, from that serial. */
  ends: string | number;
}[] = [
  { lost: [], ends: 'Wait RotationPeriod' },
  { lost: ['outputs'], ends: 'Wait RotationPeriod' },
  { lost: ['exports'], ends: 'Wait RotationPeriod' },
  { lost: ['escrow'], ends: 'Wait RotationPeriod' },
  { lost: ['traces'], ends: 'Wait RotationPeriod' },
  { lost: ['outputs', 'exports', 'escrow', 'traces'], ends: 'Wait RotationPeriod' },
  { lost: ['keyring'], ends: 'Halt KeyringLost 2' },
  { lost: ['keyring', 'outputs'], ends: 'Halt KeyringLost 2' },
  { lost: ['keyring', 'outputs', 'exports', 'escrow'], ends: 'Halt KeyringLost 2' },
  { lost: ['keyring', 'outputs', 'exports', 'traces'], ends: 'Halt KeyringLost 2' },
  { lost: ['keyring', 'outputs', 'escrow', 'traces'], ends: 'Halt KeyringLost 0' },
  { lost: ['keyring'], acceptedLoss: 2, ends: 3 },
  { lost: ['keyring', 'outputs', 'exports'], acceptedLoss: 2, ends: 3 },
  { lost: ['keyring', 'outputs', 'escrow', 'traces'], acceptedLoss: 0, ends: 2 },
  { lost: ['keyring'], acceptedLoss: 1, ends: 'Halt KeyringLost 2' },
  { lost: ['keyring'], acceptedLoss: 3, ends: 'Halt KeyringLost 2' },
  { lost: [], acceptedLoss: 2, ends: 'Wait RotationPeriod' },
  { lost: ['keyring', 'outputs', 'exports', 'escrow', 'traces'], ends: 1 },
];

for (const { lost, acceptedLoss = null, ends } of losses) {
  const accepted = acceptedLoss === null ? '' : `, loss of serial ${acceptedLoss} accepted`;
  test(`property 9: lost ${lost.join(', ') || 'nothing'}${accepted}: ${ends}`, async () => {
    const bench = new ReconcileBench(ESCROWED);
    await bench.reconcile();
    const { keyring, outputs, exports } = bench.store;
    bench.store.traces = { serial: 2 };
    for (const part of lost) bench.store[part] = null;
    bench.spec = { ...ESCROWED, acceptedLoss };
    const result = await bench.reconcile();
    if (typeof ends === 'number') {
      assert.equal(bench.store.outputs && activeKid(bench.store.outputs), 'k3');
      const first = result.keyring?.keys[0];
      assert.equal(first?.addedSerial, ends);
      assert.equal(reasons(result).split(' ')[0], acceptedLoss === null ? 'Activated' : 'Forced');
      return;
    }
    assert.equal(bench.keys, 2, 'no key was made');
    const [, , serial] = ends.split(' ');
    if (ends.startsWith('Halt')) {
      assert.equal(`${ending(result)} ${serial}`, ends);
      assert.ok(message(result).includes(`regenerate@${serial}`), message(result));
      assert.ok(message(result).includes('kubectl portcullis keys restore trading -n auth'));
    } else {
      assert.equal(ending(result), ends);
      assert.deepEqual([bench.store.keyring, bench.store.outputs, bench.store.exports], [keyring, outputs, exports]);
      assert.deepEqual([...openedEscrow('auth/trading', bench.store.escrow).keys()], ['k1', 'k2']);
    }
  });
}

test('an older keyring in the place of a newer one halts, whichever trace is left', async () => {
  for (const left of ['outputs', 'escrow', 'traces'] as const) {
    const bench = new ReconcileBench(ESCROWED);
    await bench.reconcile();
    const older = bench.store.keyring;
    bench.at += 721 * HOUR;
    await bench.reconcile();
    bench.store.traces = { serial: bench.store.keyring?.serial ?? 0 };
    bench.store.keyring = older;
    for (const part of ['outputs', 'escrow', 'traces'] as const) if (part !== left) bench.store[part] = null;
    bench.effects();
    assert.equal(ending(await bench.reconcile()), 'Halt RolledBack', left);
    assert.deepEqual(bench.effects(), []);
  }
});

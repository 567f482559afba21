import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeySetSpec } from '../spec.ts';
import type { HaltReason, PlanContext, Step } from '../step.ts';
import { HOUR, QuietKeySet, SPEC } from '../testing/fixtures.ts';

const ESCROW = { recipientsSecret: 'ops', required: true };

/** A set of serial 3, whose k2 signs. */
function rotated(spec: KeySetSpec = SPEC): QuietKeySet {
  const keySet = new QuietKeySet(spec);
  keySet.settle();
  keySet.spec = { ...spec, rotateRequest: 'now' };
  keySet.advance(24 * HOUR);
  return keySet;
}

function haltOf(step: Step): HaltReason | null {
  return step.kind === 'Halt' ? step.reason : null;
}

const losses: readonly {
  name: string;
  outputs: boolean;
  traces: PlanContext['traces'];
  accepted: number | null;
  creates: number | null;
}[] = [
  { name: 'nothing left: a new set', outputs: false, traces: null, accepted: null, creates: 1 },
  { name: 'nothing left, and a loss accepted that never was', outputs: false, traces: null, accepted: 4, creates: 1 },
  { name: 'outputs left', outputs: true, traces: null, accepted: null, creates: null },
  { name: 'a trace left that names no serial', outputs: false, traces: { serial: 0 }, accepted: null, creates: null },
  { name: 'a trace left that names one', outputs: false, traces: { serial: 7 }, accepted: null, creates: null },
  { name: 'accepted by its serial', outputs: true, traces: null, accepted: 4, creates: 5 },
  {
    name: 'accepted by the serial of the highest trace',
    outputs: true,
    traces: { serial: 9 },
    accepted: 9,
    creates: 10,
  },
  { name: 'accepted by the serial of another trace', outputs: true, traces: { serial: 9 }, accepted: 4, creates: null },
  { name: 'accepted by a serial yet to come', outputs: true, traces: null, accepted: 5, creates: null },
  { name: 'accepted where no serial is known', outputs: false, traces: { serial: 0 }, accepted: 0, creates: 2 },
];

for (const { name, outputs, traces, accepted, creates } of losses) {
  test(`property 9: keyring lost, ${name}`, () => {
    const keySet = rotated();
    assert.equal(keySet.ring.serial, 4);
    keySet.keyring = null;
    if (!outputs) keySet.outputs = null;
    keySet.context = { ...keySet.context, traces };
    keySet.spec = { ...keySet.spec, acceptedLoss: accepted };
    const step = keySet.plan();
    if (creates === null) {
      assert(step.kind === 'Halt' && step.reason === 'KeyringLost' && step.until === null);
      assert(step.message.includes(`regenerate@${Math.max(outputs ? 4 : 0, traces?.serial ?? 0)}`), step.message);
    } else {
      assert(step.kind === 'Create');
      assert.equal(step.serial, creates);
      keySet.settle();
      assert(keySet.ring.serial >= creates && keySet.outputs?.serial === keySet.ring.serial);
    }
  });
}

test('a loss that was accepted is not accepted again: the new keyring has a higher serial', () => {
  const keySet = rotated();
  keySet.spec = { ...keySet.spec, acceptedLoss: 4 };
  keySet.keyring = null;
  keySet.settle();
  keySet.keyring = null;
  assert.equal(haltOf(keySet.plan()), 'KeyringLost');
});

test('revocations of the spec are tombstones of a keyring made anew, before anything is published', () => {
  const keySet = rotated();
  keySet.spec = { ...keySet.spec, acceptedLoss: 4, revocations: [{ kid: 'k1', reason: 'stolen' }] };
  keySet.keyring = null;
  const kinds = keySet.settle().map(({ kind }) => kind);
  assert.deepEqual(kinds.slice(0, 3), ['Create', 'Revoke', 'WriteOutputs']);
  assert.deepEqual(
    keySet.ring.tombstones.map(({ kid }) => kid),
    ['k1'],
  );
});

for (const [name, serials] of Object.entries({ outputs: [5, 0], traces: [0, 5] } as const)) {
  test(`an older keyring halts, whatever is asked: ${name} are ahead`, () => {
    const keySet = rotated();
    const [outputs, serial] = serials;
    if (keySet.outputs !== null && outputs > 0) keySet.outputs = { ...keySet.outputs, serial: outputs };
    keySet.context = { ...keySet.context, traces: { serial } };
    keySet.spec = { ...keySet.spec, acceptedLoss: 5, revocations: [{ kid: 'k2', reason: 'stolen' }], escrow: ESCROW };
    const step = keySet.plan();
    assert(step.kind === 'Halt' && step.reason === 'RolledBack' && step.until === null);
    assert(step.message.includes('kubectl portcullis keys restore trading -n auth --replace'), step.message);
  });
}

test('a trace as high as the keyring is no alarm', () => {
  const keySet = rotated();
  keySet.context = { ...keySet.context, traces: { serial: 4 } };
  assert.equal(keySet.plan().kind, 'Wait');
});

test('a remedy that needs an escrow is told only to those who have one', () => {
  for (const escrow of [null, ESCROW]) {
    const keySet = rotated({ ...SPEC, escrow });
    keySet.keyring = null;
    const step = keySet.plan();
    assert(step.kind === 'Halt');
    assert.equal(step.message.includes('kubectl portcullis keys restore'), escrow !== null);
  }
});

const uses: readonly { had: KeySetSpec['algorithm']; wants: KeySetSpec['algorithm']; halts: boolean }[] = [
  { had: 'ES256', wants: 'Fernet', halts: true },
  { had: 'Fernet', wants: 'HS256', halts: true },
  { had: 'HS256', wants: 'EdDSA', halts: false },
  { had: 'Fernet', wants: 'Fernet', halts: false },
];

for (const { had, wants, halts } of uses) {
  test(`a retained keyring of ${had} under a set of ${wants}: ${halts ? 'halts, even to revoke' : 'goes on'}`, () => {
    const keySet = rotated({ ...SPEC, algorithm: had });
    keySet.spec = { ...keySet.spec, algorithm: wants, revocations: [{ kid: 'k1', reason: 'stolen' }] };
    assert.equal(haltOf(keySet.plan()), halts ? 'AlgorithmConflict' : null);
  });
}

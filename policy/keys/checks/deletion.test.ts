import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeletionSpec } from '../spec.ts';
import type { EscrowState } from '../step.ts';
import { QuietKeySet, SPEC } from '../testing/fixtures.ts';

const UNUSABLE: EscrowState = { kind: 'Unusable', message: 'the key of ops has expired' };

const cases: readonly {
  name: string;
  policy: DeletionSpec['policy'];
  forced?: boolean;
  escrow?: EscrowState;
  keyring?: boolean;
  outputs?: boolean;
  exported?: boolean;
  traces?: number;
  steps: string;
}[] = [
  { name: 'Retain leaves all as it is', policy: 'Retain', steps: 'Release' },
  { name: 'Retain asks for no escrow', policy: 'Retain', escrow: UNUSABLE, steps: 'Release' },
  { name: 'Retain of a lost keyring', policy: 'Retain', keyring: false, steps: 'Release' },
  { name: 'Delete', policy: 'Delete', steps: 'Erase Release' },
  {
    name: 'Delete with all escrowed',
    policy: 'Delete',
    escrow: { kind: 'Usable', current: true },
    steps: 'Erase Release',
  },
  {
    name: 'Delete escrows first',
    policy: 'Delete',
    escrow: { kind: 'Usable', current: false },
    steps: 'WriteEscrow Erase Release',
  },
  { name: 'Delete waits for recipients', policy: 'Delete', escrow: UNUSABLE, steps: 'Halt EscrowUnavailable' },
  { name: 'Delete, forced', policy: 'Delete', forced: true, escrow: UNUSABLE, steps: 'Erase Release' },
  { name: 'Delete of a lost keyring', policy: 'Delete', keyring: false, escrow: UNUSABLE, steps: 'Erase Release' },
  {
    name: 'Delete, all gone but exports',
    policy: 'Delete',
    keyring: false,
    outputs: false,
    exported: false,
    steps: 'Erase Release',
  },
  { name: 'Delete, all gone', policy: 'Delete', keyring: false, outputs: false, escrow: UNUSABLE, steps: 'Release' },
  {
    name: 'Delete of an older keyring does not overwrite the index of the newer one',
    policy: 'Delete',
    escrow: { kind: 'Usable', current: false },
    traces: 9,
    steps: 'Halt RolledBack',
  },
  {
    name: 'Delete of an older keyring, forced',
    policy: 'Delete',
    forced: true,
    escrow: { kind: 'Usable', current: false },
    traces: 9,
    steps: 'Erase Release',
  },
  { name: 'Delete of an older keyring without escrow', policy: 'Delete', traces: 9, steps: 'Erase Release' },
];

for (const { name, policy, forced = false, escrow, keyring, outputs, exported, traces, steps } of cases) {
  test(`deletion: ${name}`, () => {
    const keySet = new QuietKeySet();
    keySet.settle();
    const before = keySet.keyring;
    keySet.context = {
      ...keySet.context,
      ...(escrow && { escrow }),
      ...(exported !== undefined && { exported }),
      ...(traces !== undefined && { traces: { serial: traces } }),
    };
    if (keyring === false) keySet.keyring = null;
    if (outputs === false) keySet.outputs = null;
    keySet.spec = {
      ...SPEC,
      deletion: { policy, forced },
      // Nothing else happens to a set that goes.
      revocations: [{ kid: 'k1', reason: 'stolen' }],
      acceptedLoss: 2,
    };
    const found = keySet.settle().map((step) => (step.kind === 'Halt' ? `${step.kind} ${step.reason}` : step.kind));
    assert.equal(found.join(' '), steps);
    if (!steps.includes('Erase') && keyring !== false) assert.equal(keySet.keyring, before);
    if (steps.includes('Erase')) assert.deepEqual([keySet.keyring, keySet.outputs], [null, null]);
  });
}

test('a set that is made again over retained keys goes on with them', () => {
  const keySet = new QuietKeySet();
  keySet.settle();
  keySet.spec = { ...SPEC, deletion: { policy: 'Retain', forced: false } };
  keySet.settle();
  keySet.spec = { ...SPEC, uid: 'another-uid' };
  assert.equal(keySet.plan().kind, 'Wait');
  assert.equal(keySet.activeKid, 'k1');
});

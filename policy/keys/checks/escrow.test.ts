import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Escrow, isEscrowed } from '../escrow.ts';
import { withoutMaterial } from '../keyring.ts';
import type { EscrowState } from '../step.ts';
import { HOUR, QuietKeySet, SPEC } from '../testing/fixtures.ts';

const USABLE: EscrowState = { kind: 'Usable', current: true };
const UNUSABLE: EscrowState = { kind: 'Unusable', message: 'the key of ops has expired; give a new one' };

function escrowing(escrow: EscrowState, required = true): QuietKeySet {
  const keySet = new QuietKeySet({ ...SPEC, escrow: { recipientsSecret: 'ops', required } });
  keySet.context = { ...keySet.context, escrow };
  return keySet;
}

const kinds = (keySet: QuietKeySet) => keySet.settle().map(({ kind }) => kind);

test('property 12: what changes the keyring is escrowed before outputs show it', () => {
  const wanted = 'Create WriteEscrow WriteOutputs Confirm WriteEscrow Add WriteEscrow WriteOutputs Confirm WriteEscrow';
  assert.equal(kinds(escrowing(USABLE)).join(' '), `${wanted} Wait`);
});

const unusable: readonly { name: string; required: boolean; existing: boolean; steps: string }[] = [
  { name: 'required: no first key', required: true, existing: false, steps: 'Halt' },
  { name: 'wanted: a first key', required: false, existing: false, steps: 'Create WriteOutputs Confirm Add' },
  { name: 'required: no next key', required: true, existing: true, steps: 'DiscardStandby WriteOutputs Confirm Wait' },
  { name: 'wanted: a next key', required: false, existing: true, steps: 'DiscardStandby WriteOutputs Confirm Add' },
];

for (const { name, required, existing, steps } of unusable) {
  test(`no recipient can be encrypted to, escrow ${name}`, () => {
    const keySet = escrowing(existing ? USABLE : UNUSABLE, required);
    if (existing) keySet.settle();
    keySet.context = { ...keySet.context, escrow: UNUSABLE };
    keySet.spec = { ...keySet.spec, algorithm: 'RS256' };
    assert.equal(kinds(keySet).join(' ').slice(0, steps.length), steps);
    const end = keySet.plan();
    if (end.kind === 'Halt')
      assert.match(`${end.reason} ${end.message}`, /^EscrowUnavailable .*the key of ops has expired/);
    else assert(end.kind === 'Wait' && end.reasons.includes('EscrowUnavailable'));
  });
}

test('a revoked active key gets its successor even if that cannot be escrowed', () => {
  const keySet = escrowing(USABLE);
  keySet.settle();
  keySet.context = { ...keySet.context, escrow: UNUSABLE };
  keySet.spec = { ...keySet.spec, revocations: ['k1', 'k2'].map((kid) => ({ kid, reason: 'stolen' })) };
  assert.deepEqual(kinds(keySet), ['Revoke', 'Revoke', 'WriteOutputs', 'Confirm', 'Wait']);
  assert.equal(keySet.phases, 'k3:Active');
  keySet.context = { ...keySet.context, escrow: { kind: 'Usable', current: false } };
  assert.equal(keySet.plan().kind, 'WriteEscrow');
});

test('what stands by is activated while no recipient can be encrypted to: it has been exposed already', () => {
  const keySet = escrowing(USABLE);
  keySet.settle();
  keySet.context = { ...keySet.context, escrow: UNUSABLE };
  keySet.spec = { ...keySet.spec, rotateRequest: 'now' };
  keySet.advance(24 * HOUR);
  assert.equal(keySet.phases, 'k1:Retired k2:Active');
});

const keyring = (() => {
  const keySet = new QuietKeySet();
  keySet.settle();
  return keySet.ring;
})();
const index = withoutMaterial(keyring);
const messages = { k1: 'one', k2: 'two', k0: 'of a key that is gone' };
const whole: Escrow = { recipients: ['AAAA'], index, messages };

const states: readonly { name: string; escrow: Escrow | null; recipients?: readonly string[]; escrowed: boolean }[] = [
  { name: 'whole', escrow: whole, escrowed: true },
  { name: 'none', escrow: null, escrowed: false },
  { name: 'messages only', escrow: { ...whole, index: null }, escrowed: false },
  { name: 'a recipient more', escrow: whole, recipients: ['AAAA', 'BBBB'], escrowed: false },
  { name: 'a recipient less', escrow: { ...whole, recipients: ['AAAA', 'BBBB'] }, escrowed: false },
  { name: 'a message lacks', escrow: { ...whole, messages: { k1: 'one' } }, escrowed: false },
  { name: 'an older index', escrow: { ...whole, index: { ...index, serial: 1 } }, escrowed: false },
  { name: 'an index that confirms less', escrow: { ...whole, index: { ...index, confirmed: 1 } }, escrowed: false },
];

for (const { name, escrow, recipients = ['AAAA'], escrowed } of states) {
  test(`escrow with ${name}: ${escrowed ? '' : 'not '}current`, () => {
    assert.equal(isEscrowed(keyring, escrow, recipients), escrowed);
  });
}

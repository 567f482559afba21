import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeySetSpec } from './spec.ts';
import { HOUR, MINUTE, QuietKeySet, rotating, SPEC } from './testing/fixtures.ts';

const kinds = (steps: readonly { kind: string }[]) => steps.map(({ kind }) => kind).join(' ');

/** A key set at rest with an active k1 and, when asymmetric, a standby k2. */
function settled(spec: KeySetSpec = SPEC): QuietKeySet {
  const keySet = new QuietKeySet(spec);
  keySet.settle();
  return keySet;
}

test('a new key set: first key, published, confirmed, and a standby key for an asymmetric algorithm', () => {
  const keySet = new QuietKeySet();
  assert.equal(kinds(keySet.settle()), 'Create WriteOutputs Confirm Add WriteOutputs Confirm Wait');
  assert.equal(keySet.phases, 'k1:Active k2:Standby');
});

test('a new symmetric key set keeps its next secret out of the pods until prePublish before rotation', () => {
  const keySet = new QuietKeySet({ ...rotating({ prePublishMs: HOUR }), algorithm: 'HS256' });
  assert.equal(kinds(keySet.settle()), 'Create WriteOutputs Confirm Wait');
  const wait = keySet.plan();
  assert(wait.kind === 'Wait' && wait.until !== null);
  assert.equal(kinds(keySet.advance(wait.until - keySet.now)), 'Add WriteOutputs Confirm Wait');
  assert.equal(kinds(keySet.advance(HOUR)), 'Activate WriteOutputs Confirm Wait');
  assert.equal(keySet.outputs?.jwks, null);
});

test('the life of a key: active, retired, erased after P, dropped after T + P + S', () => {
  const keySet = settled();
  keySet.spec = { ...SPEC, rotateRequest: 'now' };
  assert.equal(
    kinds(keySet.advance(24 * HOUR)),
    'AcceptRotateRequest Activate WriteOutputs Confirm Add WriteOutputs Confirm Wait',
  );
  assert.equal(keySet.phases, 'k1:Retired k2:Active k3:Standby');
  assert.equal(kinds(keySet.advance(2 * MINUTE - 1)), 'Wait');
  assert.equal(kinds(keySet.advance(1)), 'ErasePrivateHalf Wait');
  assert.equal(keySet.ring.keys[0]?.privateMembers, null);
  assert.equal(kinds(keySet.advance(HOUR + MINUTE - 1)), 'Wait');
  assert.equal(kinds(keySet.advance(1)), 'Drop WriteOutputs Confirm Wait');
  assert.equal(keySet.phases, 'k2:Active k3:Standby');
});

test('a symmetric key is not erased while it verifies', () => {
  const keySet = settled({ ...rotating({ prePublishMs: HOUR }), algorithm: 'HS256', rotateRequest: null });
  keySet.spec = { ...keySet.spec, rotateRequest: 'now' };
  keySet.settle();
  assert.equal(kinds(keySet.advance(HOUR)), 'Activate WriteOutputs Confirm Wait');
  assert.equal(kinds(keySet.advance(HOUR + 3 * MINUTE)), 'Drop WriteOutputs Confirm Wait');
});

const due: readonly { name: string; spec: KeySetSpec; after: number; rotates: boolean }[] = [
  { name: 'before the period', spec: SPEC, after: 720 * HOUR - 1, rotates: false },
  { name: 'after period and the longest jitter', spec: SPEC, after: 721 * HOUR, rotates: true },
  { name: 'suspended', spec: rotating({ suspend: true }), after: 900 * HOUR, rotates: false },
  {
    name: 'notBefore not yet come',
    spec: rotating({ notBefore: 1_000_000_000_000 + 50 * HOUR }),
    after: 49 * HOUR,
    rotates: false,
  },
  {
    name: 'notBefore come',
    spec: rotating({ notBefore: 1_000_000_000_000 + 50 * HOUR }),
    after: 50 * HOUR,
    rotates: true,
  },
  {
    name: 'notBefore older than the key',
    spec: rotating({ notBefore: 999_999_999_999 }),
    after: 100 * HOUR,
    rotates: false,
  },
  { name: 'rotate request', spec: { ...SPEC, rotateRequest: 'x' }, after: 24 * HOUR, rotates: true },
  {
    name: 'rotate request, standby not matured',
    spec: { ...SPEC, rotateRequest: 'x' },
    after: 24 * HOUR - 1,
    rotates: false,
  },
];

for (const { name, spec, after, rotates } of due) {
  test(`due: ${name}`, () => {
    const keySet = settled();
    keySet.spec = spec;
    keySet.advance(after);
    assert.equal(keySet.activeKid, rotates ? 'k2' : 'k1');
    keySet.settle();
    assert.equal(keySet.activeKid, rotates ? 'k2' : 'k1', 'once only');
  });
}

test('prePublish shorter than P + C + S is not believed', () => {
  const keySet = settled({ ...rotating({ prePublishMs: 0 }) });
  keySet.spec = { ...keySet.spec, rotateRequest: 'now' };
  keySet.advance(13 * MINUTE - 1);
  assert.equal(keySet.activeKid, 'k1');
  keySet.advance(1);
  assert.equal(keySet.activeKid, 'k2');
});

test('another algorithm: the standby of the old one goes, and the new one signs after its prePublish', () => {
  const keySet = settled();
  keySet.spec = { ...SPEC, algorithm: 'RS256' };
  assert.equal(kinds(keySet.settle()), 'DiscardStandby WriteOutputs Confirm Add WriteOutputs Confirm Wait');
  keySet.advance(24 * HOUR);
  assert.equal(keySet.activeKid, 'k3');
  assert.equal(keySet.outputs?.issuing?.algorithm, 'RS256');
});

test('acknowledgements delay the next key until ackTimeout, and the laggards are named', () => {
  const keySet = settled();
  keySet.spec = { ...SPEC, rotateRequest: 'now' };
  keySet.context = {
    ...keySet.context,
    acknowledgements: [
      { consumer: 'pod-a', serial: 2 },
      { consumer: 'pod-b', serial: 1 },
    ],
  };
  keySet.advance(24 * HOUR);
  const waiting = keySet.plan();
  assert(waiting.kind === 'Wait');
  assert.deepEqual(waiting.laggards, ['pod-b']);
  assert(waiting.reasons.includes('Acknowledgements'));
  keySet.advance(24 * HOUR - 1);
  assert.equal(keySet.activeKid, 'k1');
  const [activate] = keySet.advance(1);
  assert(activate?.kind === 'Activate');
  assert.deepEqual(activate.laggards, ['pod-b']);
});

test('ackTimeout 0 waits for ever, and for nothing once the laggard is no longer counted', () => {
  const keySet = settled(rotating({ ackTimeoutMs: 0 }));
  keySet.spec = { ...keySet.spec, rotateRequest: 'now' };
  keySet.context = { ...keySet.context, acknowledgements: [{ consumer: 'pod-b', serial: 1 }] };
  keySet.advance(10_000 * HOUR);
  assert.equal(keySet.activeKid, 'k1');
  keySet.context = { ...keySet.context, acknowledgements: [] };
  keySet.settle();
  assert.equal(keySet.activeKid, 'k2');
});

test('a serial above the keyring is of one that was lost, and acknowledges nothing', () => {
  const keySet = settled();
  keySet.spec = { ...SPEC, rotateRequest: 'now' };
  keySet.context = { ...keySet.context, acknowledgements: [{ consumer: 'pod-a', serial: 3 }] };
  keySet.advance(24 * HOUR);
  assert.equal(keySet.activeKid, 'k1');
  keySet.context = { ...keySet.context, acknowledgements: [{ consumer: 'pod-a', serial: 2 }] };
  keySet.settle();
  assert.equal(keySet.activeKid, 'k2');
});

test('maxKeys: no key is added at the cap until one is dropped', () => {
  const keySet = settled(rotating({ maxKeys: 2 }));
  keySet.spec = { ...keySet.spec, rotateRequest: 'now' };
  keySet.advance(24 * HOUR);
  assert.equal(keySet.phases, 'k1:Retired k2:Active');
  const wait = keySet.plan();
  assert(wait.kind === 'Wait' && wait.reasons.includes('MaxKeys'));
  keySet.advance(2 * HOUR);
  assert.equal(keySet.phases, 'k2:Active k3:Standby');
});

test('the largest T, P and S seen while active count, and are shown to issuers only once stamped', () => {
  const keySet = settled();
  keySet.spec = { ...SPEC, maxTokenLifetimeMs: 5 * HOUR, propagationMs: 10 * MINUTE };
  assert.equal(kinds(keySet.settle()), 'ExtendGraces WriteOutputs Confirm Wait');
  assert.equal(keySet.outputs?.issuing?.maxTokenLifetimeMs, 5 * HOUR);
  keySet.spec = { ...SPEC, rotateRequest: 'now' };
  keySet.advance(24 * HOUR);
  assert.equal(keySet.activeKid, 'k2');
  keySet.advance(5 * HOUR + 11 * MINUTE - 1);
  assert(keySet.phases.includes('k1:Retired'));
  keySet.advance(1);
  assert(!keySet.phases.includes('k1'));
});

const revocations: readonly {
  name: string;
  kids: readonly string[];
  after: number;
  active: string;
  gone: readonly string[];
}[] = [
  { name: 'of the active key, standby matured', kids: ['k1'], after: 24 * HOUR, active: 'k2', gone: ['k1'] },
  {
    name: 'of the active key, standby known to all but not matured',
    kids: ['k1'],
    after: 13 * MINUTE,
    active: 'k2',
    gone: ['k1'],
  },
  {
    name: 'of the active key, standby not known to all',
    kids: ['k1'],
    after: 13 * MINUTE - 1,
    active: 'k3',
    gone: ['k1'],
  },
  { name: 'of active and standby together', kids: ['k1', 'k2'], after: 24 * HOUR, active: 'k3', gone: ['k1', 'k2'] },
  { name: 'of the standby', kids: ['k2'], after: 24 * HOUR, active: 'k1', gone: ['k2'] },
  { name: 'of a key that is not there', kids: ['k9'], after: HOUR, active: 'k1', gone: ['k9'] },
];

for (const { name, kids, after, active, gone } of revocations) {
  test(`revocation ${name}, even while suspended`, () => {
    const keySet = settled(rotating({ suspend: true }));
    keySet.advance(after);
    keySet.spec = { ...keySet.spec, revocations: kids.map((kid) => ({ kid, reason: 'stolen' })) };
    keySet.settle();
    assert.equal(keySet.activeKid, active);
    const rendered = JSON.stringify(keySet.outputs);
    const kept = JSON.stringify(keySet.ring.keys);
    for (const kid of gone) {
      assert(!rendered.includes(`"${kid}"`) && !kept.includes(`"${kid}"`), `${kid} is gone`);
      assert(keySet.ring.tombstones.some((tombstone) => tombstone.kid === kid));
    }
    assert.equal(kinds(keySet.settle()), 'Wait');
  });
}

test('a standby that is revoked as well never takes over, not for a moment', () => {
  const keySet = settled();
  keySet.now += 24 * HOUR;
  keySet.spec = { ...SPEC, revocations: ['k1', 'k2'].map((kid) => ({ kid, reason: 'stolen' })) };
  const step = keySet.plan();
  assert(step.kind === 'Revoke');
  assert.deepEqual([step.kid, step.successor?.kind], ['k1', 'NewKey']);
});

test('property 8: a revoked key does not come back with a backup of keyring and outputs', () => {
  const keySet = settled();
  const backup = { keyring: keySet.keyring, outputs: keySet.outputs };
  keySet.spec = { ...SPEC, revocations: [{ kid: 'k1', reason: 'stolen' }] };
  keySet.settle();
  Object.assign(keySet, backup);
  assert.equal(keySet.plan().kind, 'Revoke');
  keySet.settle();
  assert.notEqual(keySet.activeKid, 'k1');
});

test('a clock behind the keyring by more than S halts, revocations apart, until it has caught up', () => {
  const keySet = settled();
  keySet.advance(HOUR);
  keySet.spec = { ...SPEC, rotateRequest: 'a' };
  keySet.settle();
  const { maxTime } = keySet.ring;
  keySet.now = maxTime - MINUTE;
  assert.equal(keySet.plan().kind, 'Wait');
  keySet.now -= 1;
  const step = keySet.plan();
  assert(step.kind === 'Halt' && step.reason === 'ClockSkew');
  assert.equal(step.until, maxTime - MINUTE);
  const revocations = ['k1', 'k2'].map((kid) => ({ kid, reason: 'stolen' }));
  keySet.spec = { ...keySet.spec, revocations };
  assert.equal(kinds(keySet.settle()), 'Revoke Revoke WriteOutputs Confirm Halt');
  assert.equal(keySet.ring.maxTime, maxTime, 'no time goes back');
  assert.equal(keySet.ring.keys.at(-1)?.publishedAt, maxTime, 'a slow clock does not date a publication back');
});

test('property 13: a clock that jumps ten years ahead brings one activation', () => {
  const keySet = settled();
  const steps = keySet.advance(10 * 365 * 24 * HOUR);
  assert.equal(steps.filter(({ kind }) => kind === 'Activate').length, 1);
});

test('property 6: after a crash anywhere the same key signs, and a later restart activates no sooner', () => {
  const spec = { ...SPEC, rotateRequest: 'now' };
  for (let crashAfter = 0; crashAfter < 7; crashAfter++) {
    const keySet = new QuietKeySet();
    for (let step = 0; step < crashAfter; step++) keySet.apply(keySet.plan());
    keySet.advance(HOUR);
    assert.equal(keySet.activeKid, 'k1');
    keySet.spec = spec;
    keySet.advance(24 * HOUR - HOUR - 1);
    assert.equal(keySet.activeKid, 'k1', `after step ${crashAfter}`);
    keySet.advance(HOUR + 1);
    assert.equal(keySet.activeKid, 'k2', `after step ${crashAfter}`);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyStep } from './apply-step.ts';
import { jitterMs } from './jitter.ts';
import { fakeKey, HOUR, MINUTE, QuietKeySet, SPEC } from './testing/fixtures.ts';

test('a kid that was ever used, or revoked, is refused', () => {
  const keySet = new QuietKeySet({ ...SPEC, revocations: [{ kid: 'k7', reason: 'stolen' }] });
  keySet.settle();
  const add = { kind: 'Add', key: { kind: 'NewKey', algorithm: 'ES256' } } as const;
  for (const used of [1, 2, 7]) {
    assert.throws(() => applyStep(SPEC, keySet.ring, add, fakeKey(used, 'ES256'), keySet.now), { code: 'key_refused' });
  }
  assert.equal(applyStep(SPEC, keySet.ring, add, fakeKey(8, 'ES256'), keySet.now).keys.length, 3);
});

test('material of another algorithm than the step asked for is refused', () => {
  const create = { kind: 'Create', key: { kind: 'NewKey', algorithm: 'ES256' }, serial: 1 } as const;
  assert.throws(() => applyStep(SPEC, null, create, fakeKey(1, 'RS256'), 0), RangeError);
  assert.throws(() => applyStep(SPEC, null, create, null, 0), RangeError);
});

test('the serial grows exactly when what is rendered changes', () => {
  const keySet = new QuietKeySet();
  const serials: string[] = [];
  for (const spec of [SPEC, { ...SPEC, rotateRequest: 'now' }]) {
    keySet.spec = spec;
    for (let step = keySet.plan(); step.kind !== 'Wait'; step = keySet.plan()) {
      keySet.apply(step);
      if (step.kind !== 'WriteOutputs') serials.push(`${step.kind} ${keySet.ring.serial}`);
    }
    keySet.now += 25 * HOUR;
  }
  assert.deepEqual(serials, [
    'Create 1',
    'Confirm 1',
    'Add 2',
    'Confirm 2',
    'AcceptRotateRequest 2',
    'Activate 3',
    'Confirm 3',
    'Add 4',
    'Confirm 4',
  ]);
});

test('jitter is stable, spread, below a tenth of the period and below an hour', () => {
  const day = 24 * HOUR;
  const values = Array.from({ length: 200 }, (_, serial) => jitterMs('uid', serial, 30 * day));
  assert.equal(jitterMs('uid', 5, 30 * day), values[5]);
  assert(values.every((value) => value >= 0 && value < HOUR));
  assert(
    new Set(values.map((value) => Math.floor(value / (10 * MINUTE)))).size === 6,
    'all six tenths of the hour are hit',
  );
  assert.notEqual(jitterMs('another', 5, 30 * day), values[5]);
  assert(Array.from({ length: 200 }, (_, serial) => jitterMs('uid', serial, HOUR)).every((value) => value < HOUR / 10));
  assert.equal(jitterMs('uid', 5, 5), 0);
});

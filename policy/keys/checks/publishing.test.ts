import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOUR, QuietKeySet, SPEC } from '../testing/fixtures.ts';

test('exports follow the outputs, and nothing is confirmed before them', () => {
  const keySet = new QuietKeySet();
  keySet.context = { ...keySet.context, exported: false };
  const kinds = keySet.settle().map(({ kind }) => kind);
  assert.deepEqual(kinds.slice(0, 4), ['Create', 'WriteOutputs', 'WriteExports', 'Confirm']);
  keySet.context = { ...keySet.context, exported: false };
  const step = keySet.plan();
  assert(step.kind === 'WriteExports');
  assert.deepEqual(step.outputs, keySet.outputs);
});

test('property 1: a key is published when its outputs were seen written, however late that is', () => {
  const keySet = new QuietKeySet();
  for (let steps = 0; steps < 4; steps++) keySet.apply(keySet.plan());
  assert.equal(keySet.phases, 'k1:Active k2:Standby');
  keySet.now += HOUR;
  assert.equal(keySet.ring.keys[1]?.publishedAt, null);
  keySet.settle();
  assert.equal(keySet.ring.keys[1]?.publishedAt, keySet.now);
});

test('property 2: a key is retired when its successor was seen written', () => {
  const keySet = new QuietKeySet();
  keySet.settle();
  keySet.spec = { ...SPEC, rotateRequest: 'now' };
  keySet.now += 24 * HOUR;
  for (let steps = 0; steps < 2; steps++) keySet.apply(keySet.plan());
  assert.equal(keySet.phases, 'k1:Retired k2:Active');
  keySet.advance(5 * HOUR);
  const [retired] = keySet.ring.keys;
  assert(retired?.phase === 'Retired');
  assert.deepEqual([retired.retiredAt, retired.retireConfirmedAt], [keySet.now - 5 * HOUR, keySet.now]);
});

test('outputs of a lower serial, of the same with other content, or none, are put right under the same serial', () => {
  const keySet = new QuietKeySet();
  keySet.settle();
  const { outputs } = keySet;
  assert(outputs !== null);
  for (const found of [null, { ...outputs, serial: 1 }, { ...outputs, verificationKeys: [] }]) {
    keySet.outputs = found;
    const step = keySet.plan();
    assert(step.kind === 'WriteOutputs');
    assert.deepEqual(step.outputs, outputs);
  }
});

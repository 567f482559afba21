import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeySetSpec } from '../spec.ts';
import { HOUR, MINUTE, QuietKeySet, rotating, SPEC } from '../testing/fixtures.ts';

const FERNET: KeySetSpec = {
  ...rotating({ periodMs: 100 * HOUR, prePublishMs: HOUR, maxKeys: 3 }),
  algorithm: 'Fernet',
  maxTokenLifetimeMs: null,
};

/** Lets years go by, an hour at a time only where something happens. */
function live(keySet: QuietKeySet, hours: number): void {
  keySet.settle();
  for (let gone = 0; gone < hours; gone += 5) keySet.advance(5 * HOUR);
}

test('Fernet without T: no key is dropped by itself, and at the cap rotation waits', () => {
  const keySet = new QuietKeySet(FERNET);
  live(keySet, 2000);
  assert.equal(keySet.phases, 'k1:Retired k2:Retired k3:Active');
  const wait = keySet.plan();
  assert(wait.kind === 'Wait' && wait.until === null);
  assert.deepEqual(wait.reasons, ['MaxKeys']);
  keySet.spec = { ...keySet.spec, revocations: [{ kid: 'k1', reason: 'encrypted anew' }] };
  live(keySet, 10);
  assert.equal(keySet.phases, 'k2:Retired k3:Retired k4:Active');
});

test('Fernet with T: a key is dropped once no token can be alive', () => {
  const keySet = new QuietKeySet({ ...FERNET, maxTokenLifetimeMs: 10 * HOUR });
  live(keySet, 2000);
  assert(keySet.ring.keys.length <= 2 && Number(keySet.activeKid?.slice(1)) > 15, keySet.phases);
});

test('a T given later does not shorten the life of what was encrypted for ever; one taken away does lengthen it', () => {
  for (const [first, then] of [
    [null, HOUR],
    [HOUR, null],
  ] as const) {
    const keySet = new QuietKeySet({ ...FERNET, maxTokenLifetimeMs: first });
    keySet.settle();
    keySet.spec = { ...keySet.spec, maxTokenLifetimeMs: then };
    live(keySet, 190);
    assert.equal(keySet.phases, 'k1:Retired k2:Active', `${first} ${then}`);
    assert.equal(keySet.ring.keys[1]?.phase === 'Active' && keySet.ring.keys[1].graces.maxTokenLifetimeMs, then);
  }
});

test('what was promised when a key retired is kept, though the spec is shortened', () => {
  const keySet = new QuietKeySet({ ...SPEC, maxTokenLifetimeMs: 30 * HOUR, clockSkewMs: 10 * MINUTE });
  keySet.settle();
  keySet.spec = { ...keySet.spec, rotateRequest: 'now' };
  keySet.advance(24 * HOUR);
  keySet.spec = { ...keySet.spec, maxTokenLifetimeMs: HOUR, clockSkewMs: 0, propagationMs: 0 };
  keySet.advance(30 * HOUR + 12 * MINUTE - 1);
  assert.match(keySet.phases, /k1:Retired/);
  keySet.advance(1);
  assert.doesNotMatch(keySet.phases, /k1/);
});

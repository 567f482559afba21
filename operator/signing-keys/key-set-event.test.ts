import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKeyringStep, QuietKeySet, rotating, type SPEC } from '../../policy/keys/testing/fixtures.ts';
import { eventsOf } from './key-set-event.ts';

/** Everything that is told of a set's first rotation. */
function told(spec: typeof SPEC): string[] {
  const keySet = new QuietKeySet(spec);
  const messages: string[] = [];
  keySet.settle();
  keySet.spec = { ...spec, rotateRequest: 'now' };
  for (let passes = 0; passes < 60; passes++) {
    const step = keySet.plan();
    const before = keySet.keyring;
    keySet.apply(step);
    if (step.kind === 'Wait') keySet.now += 3_600_000;
    if (isKeyringStep(step)) messages.push(...eventsOf(step, before, keySet.keyring).map(({ message }) => message));
  }
  return messages;
}

test('keys of tokens sign and verify', () => {
  const messages = told(rotating({ prePublishMs: 3_600_000 }));
  assert.ok(messages.includes('key k2 signs'));
  assert.ok(messages.includes('key k1 retired; it verifies on'));
  assert.ok(messages.includes('retired key k1 removed: nothing that it signed is alive'));
});

test('keys of Fernet encrypt and decrypt', () => {
  const messages = told({ ...rotating({ prePublishMs: 3_600_000 }), algorithm: 'Fernet' });
  assert.ok(messages.includes('key k2 encrypts'));
  assert.ok(messages.includes('key k1 retired; it decrypts on'));
  assert.ok(messages.every((message) => !/signs|verifies|signed/.test(message)));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextRound, touchIsDue } from './acknowledgement-rounds.ts';

test('asks quickly while something is awaited, then slowly, and at rest once a minute, spread', () => {
  const waits = [0, 400, 2_000, 8_000, 60_000, 120_001].map((ms) => nextRound(ms, 0.5));
  assert.deepEqual(waits, [100, 100, 500, 2_000, 2_000, 15_000]);
  assert.deepEqual(
    [0, 0.5, 1].map((random) => nextRound(null, random)),
    [45_000, 60_000, 75_000],
  );
});

test('touches at once, again after 5 and 20 seconds, and no more', () => {
  const due = [0, 1, 2, 3].map((touches) => [0, 4_999, 5_000, 20_000, 10 ** 9].map((ms) => touchIsDue(touches, ms)));
  assert.deepEqual(due, [
    [true, true, true, true, true],
    [false, false, true, true, true],
    [false, false, false, true, true],
    [false, false, false, false, false],
  ]);
});

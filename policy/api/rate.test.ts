import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rate } from '../bundle/types.ts';
import { parseRate, parseTierRate } from './rate.ts';

const cases: readonly [text: string, rate: Rate | undefined][] = [
  ['10/1m', { limit: 10, windowMs: 60_000 }],
  ['999999999/744h', { limit: 999_999_999, windowMs: 2_678_400_000 }],
  ['1/1ms', { limit: 1, windowMs: 1 }],
  ['5/1m30s', { limit: 5, windowMs: 90_000 }],
  ['0/1m', undefined],
  ['010/1m', undefined],
  ['10/0s', undefined],
  ['10/744h1ms', undefined],
  ['10/m', undefined],
  ['10 / 1m', undefined],
  ['10', undefined],
  ['1000000000/1s', undefined],
  ['Unlimited', undefined],
];

for (const [text, rate] of cases) {
  test(`parseRate ${text}`, () => assert.deepEqual(parseRate(text), rate));
}

test('a tier may be Unlimited, in that word only', () => {
  assert.equal(parseTierRate('Unlimited'), null);
  assert.equal(parseTierRate('unlimited'), undefined);
  assert.deepEqual(parseTierRate('10/1s'), { limit: 10, windowMs: 1000 });
});

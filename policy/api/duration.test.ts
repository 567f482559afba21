import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDuration } from './duration.ts';

const cases: readonly [text: string, milliseconds: number | undefined][] = [
  ['0s', 0],
  ['90s', 90_000],
  ['1h30m', 5_400_000],
  ['1h30m10s500ms', 5_410_500],
  ['500ms', 500],
  ['99999h', 359_996_400_000],
  ['1m1m', 120_000],
  ['', undefined],
  ['90', undefined],
  ['1.5s', undefined],
  ['-1s', undefined],
  ['1d', undefined],
  ['1H', undefined],
  ['100000s', undefined],
  ['1h1m1s1ms1s', undefined],
  [' 1s', undefined],
  ['1s\n', undefined],
];

for (const [text, milliseconds] of cases) {
  test(`parseDuration ${JSON.stringify(text)}`, () => assert.equal(parseDuration(text), milliseconds));
}

test('a duration is the sum of its parts', () => {
  const units = [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ] as const;
  const part = fc.tuple(fc.nat(99_999), fc.constantFrom(...units));
  const runs = Number(process.env['FC_RUNS'] ?? 500);
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
      const text = parts.map(([count, [unit]]) => `${count}${unit}`).join('');
      assert.equal(
        parseDuration(text),
        parts.reduce((sum, [count, [, size]]) => sum + count * size, 0),
      );
    }),
    { numRuns: runs },
  );
});

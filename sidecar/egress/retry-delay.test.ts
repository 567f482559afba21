import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseRetryAfter, retryDelay } from './retry-delay.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 300) };
const BACKOFF = { baseMs: 200, maxMs: 10_000 };

describe('retryDelay', () => {
  const rows: readonly [
    name: string,
    attempt: number,
    after: number | null,
    random: number,
    expected: number | null,
  ][] = [
    ['at once when random says so', 1, null, 0, 0],
    ['up to base after the first try', 1, null, 0.5, 100],
    ['doubled for each try before', 3, null, 0.5, 400],
    ['at most max', 9, null, 0.5, 5_000],
    ['Retry-After, and no earlier', 1, 3_000, 0, 3_000],
    ['Retry-After, not all at the same time', 1, 3_000, 0.5, 3_100],
    ['Retry-After as long as max', 1, 10_000, 0.9, 10_000],
    ['Retry-After longer than max', 1, 10_001, 0, null],
  ];
  for (const [name, attempt, after, random, expected] of rows) {
    it(name, () => assert.equal(retryDelay(attempt, BACKOFF, after, random), expected));
  }

  it('is never before Retry-After, never after max', () => {
    const numbers = fc.record({
      attempt: fc.integer({ min: 1, max: 10 }),
      baseMs: fc.integer({ min: 1, max: 60_000 }),
      more: fc.nat(60_000),
      after: fc.option(fc.nat(120_000)),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    });
    fc.assert(
      fc.property(numbers, ({ attempt, baseMs, more, after, random }) => {
        const maxMs = baseMs + more;
        const delay = retryDelay(attempt, { baseMs, maxMs }, after, random);
        assert.equal(delay === null, after !== null && after > maxMs);
        assert.ok(delay === null || (delay >= (after ?? 0) && delay <= maxMs));
      }),
      RUNS,
    );
  });
});

describe('parseRetryAfter', () => {
  const now = Date.parse('2026-11-21T12:00:00Z');
  const rows: readonly [value: string | undefined, expected: number | null][] = [
    [undefined, null],
    ['0', 0],
    ['120', 120_000],
    ['Sat, 21 Nov 2026 12:00:05 GMT', 5_000],
    ['Saturday, 21-Nov-26 12:00:05 GMT', 5_000],
    ['Sat, 21 Nov 2026 11:00:00 GMT', 0],
    ['-1', null],
    ['1.5', null],
    ['2026', 2_026_000],
    ['2026-11-21', null],
    ['soon', null],
    ['', null],
    ['9999999999', null],
  ];
  for (const [value, expected] of rows) it(String(value), () => assert.equal(parseRetryAfter(value, now), expected));
});

import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { RequestLimiter } from './request-limiter.ts';

it('RequestLimiter lets a burst through at once, then so many a second', () => {
  const limiter = new RequestLimiter(50, 3);
  assert.deepEqual(
    Array.from({ length: 5 }, () => limiter.reserve(1000)),
    [0, 0, 0, 20, 40],
  );
  assert.deepEqual(
    Array.from({ length: 2 }, () => limiter.reserve(1060)),
    [0, 20],
  );
  assert.deepEqual(
    Array.from({ length: 5 }, () => limiter.reserve(60_000)),
    [0, 0, 0, 20, 40],
  );
});

it('RequestLimiter never exceeds burst + rate × time', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100), { maxLength: 100 }), (gaps) => {
      const limiter = new RequestLimiter(50, 10);
      let now = 0;
      const turns = gaps.map((gap) => {
        now += gap;
        return now + limiter.reserve(now);
      });
      for (const [i, from] of turns.entries()) {
        for (const [j, to] of turns.entries()) {
          if (j > i) assert.ok(j - i + 1 <= 10 + (to - from) / 20 + 1e-6, `${j - i + 1} turns in ${to - from} ms`);
        }
      }
    }),
  );
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { answerFrom, cacheableDocument } from './cacheable-document.ts';

const document = cacheableDocument('application/json', { a: 1 });
const { etag } = document;

function maxAge(maxAgeMs: number, random: number): number {
  const { headers } = answerFrom(document, maxAgeMs, undefined, random);
  return Number(/^public, max-age=(\d+)$/.exec(headers[headers.indexOf('cache-control') + 1] ?? '')?.[1]);
}

describe('answerFrom', () => {
  it('gives whole seconds from C/2 to C, never above (property)', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.nat(100_000_000), random, (maxAgeMs, at) => {
        const seconds = maxAge(maxAgeMs, at);
        assert.ok(seconds * 1000 <= maxAgeMs, `${seconds} s is above ${maxAgeMs} ms`);
        // Below two seconds there may be no whole second in between.
        if (maxAgeMs >= 2000) assert.ok(seconds * 2000 >= maxAgeMs, `${seconds} s is below the half of ${maxAgeMs} ms`);
      }),
      { numRuns: Number(process.env['FC_RUNS'] ?? 500) },
    );
  });

  it('reaches both ends, and spreads between them', () => {
    assert.deepEqual([maxAge(600_000, 0), maxAge(600_000, 0.999_999)], [300, 600]);
    const seen = new Set(Array.from({ length: 301 }, (_, at) => maxAge(600_000, (at + 0.5) / 301)));
    assert.equal(seen.size, 301);
    assert.deepEqual([maxAge(0, 0.5), maxAge(999, 0.5), maxAge(1000, 0.5)], [0, 0, 1]);
  });

  for (const [name, header, status] of [
    ['the tag', etag, 304],
    ['the tag, made weak on the way', `W/${etag}`, 304],
    ['one of several', `"x", ${etag} ,"y"`, 304],
    ['any', '*', 304],
    ['another', '"x"', 200],
    ['the tag without quotes', etag.slice(1, -1), 200],
    ['nothing', '', 200],
  ] as const) {
    it(`If-None-Match ${name}: ${status}`, () => {
      const answer = answerFrom(document, 1000, header, 0);
      assert.deepEqual([answer.status, answer.body], [status, status === 304 ? '' : '{"a":1}\n']);
      assert.ok(answer.headers.includes(etag));
    });
  }

  it('has another tag for another body', () => {
    assert.notEqual(cacheableDocument('application/json', { a: 2 }).etag, etag);
  });
});

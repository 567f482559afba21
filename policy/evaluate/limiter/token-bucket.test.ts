import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TokenBucket } from './token-bucket.ts';

const T = 1_800_000_000_000;
/** Three a second: no whole number of milliseconds a token. */
const allowance = { limit: 3, windowMs: 1000, burst: 5 };

function spend(counter: TokenBucket, now: number): number {
  const available = counter.available(allowance, now);
  for (let i = 0; i < available; i++) counter.charge();
  return available;
}

describe('TokenBucket', () => {
  it('begins full, refills at its rate and never above its size', () => {
    const counter = new TokenBucket(1000);
    assert.equal(spend(counter, T), 5);
    assert.equal(counter.available(allowance, T + 333), 0);
    assert.equal(counter.available(allowance, T + 334), 1);
    assert.equal(counter.available(allowance, T + 1000), 3);
    assert.equal(counter.available(allowance, T + 3_600_000), 5);
  });

  it('loses nothing to rounding in a million refills', () => {
    const counter = new TokenBucket(1000);
    spend(counter, T);
    let admitted = 0;
    for (let ms = 1; ms <= 1_000_000; ms++) admitted += spend(counter, T + ms);
    assert.equal(admitted, 3000);
  });

  it('pays for no time twice when requests are decided in another order than they came', () => {
    const counter = new TokenBucket(1000);
    let admitted = 0;
    for (let ms = 0; ms < 10_000; ms += 10) admitted += spend(counter, T + ms) + spend(counter, T + ms - 50);
    assert.ok(admitted <= 5 + 3 * 10, `${admitted} admitted`);
  });

  it('says when there is one more and when it is full', () => {
    const counter = new TokenBucket(1000);
    spend(counter, T);
    assert.equal(counter.moreAt(allowance), T + 334);
    assert.equal(counter.wholeAt(allowance), T + 1667);
    counter.available(allowance, T + 400);
    assert.equal(counter.moreAt(allowance), T + 667);
    counter.available(allowance, T + 5000);
    assert.ok(counter.moreAt(allowance) <= T + 5000);
  });

  it('pays nothing for time that a clock repeats, and goes on from there', () => {
    const counter = new TokenBucket(1000);
    spend(counter, T);
    assert.equal(counter.available(allowance, T - 3_600_000), 0);
    assert.equal(counter.available(allowance, T - 3_600_000 + 334), 1);
  });

  it('assumes what an evicted counter had', () => {
    const counter = new TokenBucket(1000);
    counter.assume(4);
    assert.equal(counter.available(allowance, T), 1);
    assert.equal(counter.used(), 4);
  });
});

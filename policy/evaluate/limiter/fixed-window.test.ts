import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FixedWindow } from './fixed-window.ts';

/** A multiple of a minute. */
const T = 1_800_000_000_000;
const allowance = { limit: 3, windowMs: 60_000, burst: 0 };

function spend(counter: FixedWindow, now: number): number {
  const available = counter.available(allowance, now);
  for (let i = 0; i < available; i++) counter.charge();
  return available;
}

describe('FixedWindow', () => {
  it('begins anew at each multiple of the window, so that a boundary sees twice the limit', () => {
    const counter = new FixedWindow(60_000);
    assert.equal(spend(counter, T - 1), 3);
    assert.equal(spend(counter, T), 3);
    assert.equal(spend(counter, T + 59_999), 0);
    assert.equal(counter.moreAt(), T + 60_000);
    assert.equal(spend(counter, T + 60_000), 3);
  });

  it('holds what was counted for a window more when the clock steps back, and not for ever', () => {
    const counter = new FixedWindow(60_000);
    spend(counter, T);
    assert.equal(spend(counter, T - 1), 0);
    assert.equal(spend(counter, T - 3_600_000), 0);
    assert.equal(spend(counter, T - 3_600_000 + 119_999), 0);
    assert.equal(spend(counter, T - 3_600_000 + 120_000), 3);
  });

  it('assumes what an evicted counter had until its window ends', () => {
    const counter = new FixedWindow(60_000);
    counter.assume(2, T + 60_000);
    assert.equal(counter.available(allowance, T + 59_999), 1);
    assert.equal(counter.available(allowance, T + 60_000), 3);
  });
});

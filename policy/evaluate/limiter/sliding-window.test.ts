import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SlidingWindow } from './sliding-window.ts';

const T = 1_800_000_000_000;
const small = { limit: 3, windowMs: 60_000, burst: 0 };
const large = { limit: 100, windowMs: 60_000, burst: 0 };

function spend(counter: SlidingWindow, allowance: typeof small, now: number): number {
  const available = counter.available(allowance, now);
  for (let i = 0; i < available; i++) counter.charge();
  return available;
}

describe('SlidingWindow', () => {
  it('frees a request of a small limit exactly one window later', () => {
    const counter = new SlidingWindow(60_000);
    assert.equal(spend(counter, small, T), 3);
    assert.equal(counter.available(small, T + 59_999), 0);
    assert.equal(counter.available(small, T + 60_000), 3);
  });

  it('never denies a client that keeps exactly to a small limit', () => {
    const counter = new SlidingWindow(60_000);
    for (let i = 0; i < 100; i++) {
      assert.ok(counter.available(small, T + i * 20_000) > 0);
      counter.charge();
    }
  });

  it('frees a request of a large limit when its whole second has left the window', () => {
    const counter = new SlidingWindow(60_000);
    assert.equal(spend(counter, large, T + 1), 100);
    assert.equal(counter.available(large, T + 60_998), 0);
    assert.equal(counter.moreAt(large), T + 60_999);
    assert.equal(counter.available(large, T + 60_999), 100);
  });

  it('frees requests in the order in which they came', () => {
    const counter = new SlidingWindow(60_000);
    for (const offset of [0, 10_000, 30_000]) {
      assert.ok(counter.available(small, T + offset) > 0);
      counter.charge();
    }
    assert.equal(counter.available(small, T + 40_000), 0);
    assert.equal(counter.moreAt(small), T + 60_000);
    assert.equal(counter.available(small, T + 60_000), 1);
    assert.equal(counter.available(small, T + 70_000), 2);
    assert.equal(counter.wholeAt(), T + 90_000);
  });

  it('knows how many must leave when the limit was lowered', () => {
    const counter = new SlidingWindow(60_000);
    for (const offset of [0, 1, 2]) {
      counter.available(small, T + offset);
      counter.charge();
    }
    assert.equal(counter.moreAt({ ...small, limit: 2 }), T + 60_001);
    assert.equal(counter.moreAt({ ...small, limit: 1 }), T + 60_002);
  });

  it('stands still while the clock is behind by less than a window, and starts a window anew when by more', () => {
    const still = new SlidingWindow(60_000);
    spend(still, small, T);
    assert.equal(still.available(small, T - 1000), 0);
    assert.equal(still.available(small, T + 60_000), 3);
    const moved = new SlidingWindow(60_000);
    spend(moved, small, T);
    assert.equal(moved.available(small, T - 3_600_000), 0);
    assert.equal(moved.available(small, T - 3_600_000 + 59_999), 0);
    assert.equal(moved.available(small, T - 3_600_000 + 60_000), 3);
  });

  it('assumes what an evicted counter had, until the time given', () => {
    const counter = new SlidingWindow(60_000);
    counter.assume(2, T + 10_000);
    assert.equal(counter.available(small, T), 1);
    assert.equal(counter.available(small, T + 9_999), 1);
    assert.equal(counter.available(small, T + 10_000), 3);
  });

  it('keeps its memory bounded however long it is used', () => {
    const counter = new SlidingWindow(60_000);
    const unlimited = { ...large, limit: 1_000_000 };
    for (let i = 0; i < 10_000; i++) {
      counter.available(unlimited, T + i * 100);
      counter.charge();
    }
    assert.equal(counter.used(), 610, 'sixty seconds and the one that is leaving');
  });
});

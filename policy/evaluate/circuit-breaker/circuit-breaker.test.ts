import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CircuitBreaker, REFUSED } from './circuit-breaker.ts';

const CONFIG = { failureRatio: 0.5, minimumRequests: 4, windowMs: 1_000, openForMs: 500, halfOpenRequests: 2 };

/** Makes a request that ends at once. */
function request(breaker: CircuitBreaker, failed: boolean, now: number): boolean {
  const permit = breaker.admit(now);
  if (permit !== REFUSED) breaker.settle(permit, failed, now);
  return permit !== REFUSED;
}

/** A breaker that opened at `now`. */
function opened(now: number): CircuitBreaker {
  const breaker = new CircuitBreaker(CONFIG);
  for (let i = 0; i < 4; i++) request(breaker, true, now);
  assert.equal(breaker.state(now), 'Open');
  return breaker;
}

describe('CircuitBreaker', () => {
  const outcomes: readonly (readonly [name: string, outcomes: string, state: string])[] = [
    ['nothing but failures, too few', 'FFF', 'Closed'],
    ['enough failures', 'FFFF', 'Open'],
    ['exactly the ratio', 'SFSF', 'Open'],
    ['just under the ratio', 'SSSFF', 'Closed'],
    ['the ratio is reached later', 'SSSFFF', 'Open'],
    ['the success that makes them enough opens too', 'FFFS', 'Open'],
  ];
  for (const [name, sequence, state] of outcomes) {
    it(`${name}: ${state}`, () => {
      const breaker = new CircuitBreaker(CONFIG);
      for (const outcome of sequence) request(breaker, outcome === 'F', 100);
      assert.equal(breaker.state(100), state);
    });
  }

  it('forgets what left the window', () => {
    const breaker = new CircuitBreaker(CONFIG);
    for (let i = 0; i < 3; i++) request(breaker, true, 100);
    for (let i = 0; i < 3; i++) request(breaker, true, 1_150);
    assert.equal(breaker.state(1_150), 'Closed');
    request(breaker, true, 1_160);
    assert.equal(breaker.state(1_160), 'Open');
  });

  it('refuses while open and says for how long', () => {
    const breaker = opened(100);
    assert.deepEqual([breaker.admit(100), breaker.retryAfterMs(100)], [REFUSED, 500]);
    assert.deepEqual([breaker.admit(599), breaker.retryAfterMs(599)], [REFUSED, 1]);
    assert.deepEqual([breaker.state(599), breaker.state(600)], ['Open', 'HalfOpen']);
    assert.notEqual(breaker.admit(600), REFUSED);
    assert.equal(breaker.opens, 1);
  });

  it('half open lets so many through and no more; when all succeed it closes', () => {
    const breaker = opened(0);
    const first = breaker.admit(500);
    const second = breaker.admit(500);
    assert.equal(breaker.admit(500), REFUSED);
    breaker.settle(first, false, 510);
    assert.equal(breaker.state(510), 'HalfOpen');
    assert.equal(breaker.admit(510), REFUSED, 'a trial that succeeded makes no room for a third');
    breaker.settle(second, false, 520);
    assert.equal(breaker.state(520), 'Closed');
    for (let i = 0; i < 3; i++) request(breaker, true, 530);
    assert.equal(breaker.state(530), 'Closed', 'with an empty window');
  });

  it('opens again at the first trial that fails, for the whole time', () => {
    const breaker = opened(0);
    const first = breaker.admit(500);
    breaker.admit(500);
    breaker.settle(first, true, 700);
    assert.deepEqual([breaker.state(700), breaker.retryAfterMs(700), breaker.opens], ['Open', 500, 2]);
  });

  it('what was under way when it opened says nothing about the trials', () => {
    const breaker = new CircuitBreaker(CONFIG);
    const slow = breaker.admit(0);
    for (let i = 0; i < 4; i++) request(breaker, true, 0);
    const trial = breaker.admit(500);
    breaker.settle(slow, true, 510);
    assert.equal(breaker.state(510), 'HalfOpen');
    breaker.settle(slow, false, 510);
    breaker.settle(trial, false, 510);
    assert.equal(breaker.state(510), 'HalfOpen', 'one of two trials succeeded');
  });

  it('a trial that says nothing gives its place back', () => {
    const breaker = opened(0);
    breaker.cancel(breaker.admit(500));
    assert.notEqual(breaker.admit(500), REFUSED);
    assert.notEqual(breaker.admit(500), REFUSED);
    assert.equal(breaker.admit(500), REFUSED);
  });

  it('trials that do not end make room for others after a while, and still say something', () => {
    const breaker = opened(0);
    const slow = breaker.admit(500);
    breaker.admit(500);
    assert.equal(breaker.admit(999), REFUSED);
    assert.notEqual(breaker.admit(1_000), REFUSED);
    breaker.settle(slow, true, 1_000);
    assert.equal(breaker.state(1_000), 'Open');
  });

  it('clients that send their bodies slowly do not keep it from closing', () => {
    const breaker = opened(0);
    for (let now = 500; breaker.state(now) !== 'Closed'; now += 500) {
      assert.ok(now <= 1_500, 'one place in two is left to the others');
      breaker.admit(now); // and never ends
      request(breaker, false, now);
    }
  });

  it('goes on under other numbers', () => {
    const breaker = new CircuitBreaker(CONFIG);
    for (let i = 0; i < 3; i++) request(breaker, true, 0);
    breaker.configure({ ...CONFIG, minimumRequests: 20 });
    request(breaker, true, 0);
    assert.equal(breaker.state(0), 'Closed');
    breaker.configure({ ...CONFIG, minimumRequests: 5 });
    request(breaker, true, 0);
    assert.equal(breaker.state(0), 'Open', 'what was counted still counts');
    breaker.configure({ ...CONFIG, openForMs: 100 });
    assert.equal(breaker.state(100), 'HalfOpen');
  });
});

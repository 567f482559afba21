import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Demand, LimitPlan } from './limiter-store.ts';
import { RememberedDenials } from './remembered-denials.ts';

const T = 1_800_000_000_000;
const plan: LimitPlan = {
  name: 'limit',
  algorithm: 'SlidingWindow',
  limit: 10,
  windowMs: 60_000,
  burst: 0,
  onStoreFailure: 'Deny',
};
const denied: Demand = { plan, key: 'denied' };
const other: Demand = { plan, key: 'other' };
const quota = { remaining: 0, resetMs: 500, retryAfterMs: 500 };

function withOne(): RememberedDenials {
  const denials = new RememberedDenials();
  denials.remember([other, denied], [{ remaining: 3, resetMs: 900, retryAfterMs: 0 }, quota], T);
  return denials;
}

describe('RememberedDenials', () => {
  it('denies until retryAfterMs has passed, counting down', () => {
    const denials = withOne();
    assert.deepEqual(denials.recall([other, denied], T + 200), {
      admitted: false,
      quotas: [
        { remaining: 10, resetMs: 0, retryAfterMs: 0 },
        { remaining: 0, resetMs: 300, retryAfterMs: 300 },
      ],
      degraded: false,
    });
    assert.equal(denials.recall([denied], T + 499)?.quotas[0]?.retryAfterMs, 1);
    assert.equal(denials.recall([denied], T + 500), undefined);
  });

  const asked: readonly (readonly [string, Demand, number])[] = [
    ['another counter', other, T],
    ['a limit that a new bundle changed', { ...denied, plan: { ...plan, limit: 20 } }, T],
    ['a clock that stepped back', denied, T - 1],
  ];
  for (const [name, demand, now] of asked) {
    it(`does not answer for ${name}`, () => assert.equal(withOne().recall([demand], now), undefined));
  }

  it('forgets the oldest above 10,000', () => {
    const denials = withOne();
    for (let i = 0; i < 10_000; i++) denials.remember([{ plan, key: `flood ${i}` }], [quota], T);
    assert.equal(denials.recall([denied], T), undefined);
    assert.notEqual(denials.recall([{ plan, key: 'flood 0' }], T), undefined);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Leases } from './leases.ts';
import type { Demand, LimitPlan } from './limiter-store.ts';

const QUOTA = { remaining: 50, resetMs: 500, retryAfterMs: 0 };
const large: LimitPlan = {
  name: 'large',
  algorithm: 'SlidingWindow',
  limit: 6000,
  windowMs: 60_000,
  burst: 0,
  onStoreFailure: 'Deny',
};
const demand: Demand = { plan: large, key: 'user' };

/** Asks often enough to be worth a lease; what the last of these calls wants. */
function askFourTimes(leases: Leases, of: Demand, at: number) {
  for (let i = 0; i < 3; i++) leases.wishes([of], 1, at + i);
  return leases.wishes([of], 1, at + 3);
}

function withLease(units: number, forMs = 1000): Leases {
  const leases = new Leases();
  askFourTimes(leases, demand, 0);
  leases.settle([demand], [QUOTA], [units, forMs], 3);
  return leases;
}

describe('Leases', () => {
  it('wants at most twice what went through, once at a time', () => {
    const leases = new Leases();
    assert.deepEqual(askFourTimes(leases, demand, 0), [{ units: 8, forMs: 1000 }]);
    assert.equal(leases.wishes([demand], 1, 5), null, 'a call that wants a lease is under way');
  });

  it('wants nothing for a key with few requests', () => {
    const leases = new Leases();
    for (let i = 0; i < 9; i++) assert.equal(leases.wishes([demand], 1, 2000 * i), null);
  });

  it('wants nothing when the replicas share too little', () => {
    assert.equal(askFourTimes(new Leases(), { ...demand, plan: { ...large, limit: 959 } }, 0), null);
    const leases = new Leases();
    for (let i = 0; i < 9; i++) assert.equal(leases.wishes([demand], 7, i), null);
    assert.notEqual(askFourTimes(leases, demand, 10), null);
  });

  it('admits what was leased, until the lease ends, and says what is left', () => {
    const leases = withLease(2);
    const first = leases.spend([demand], 4);
    assert.deepEqual(first, {
      admitted: true,
      quotas: [{ remaining: 51, resetMs: 499, retryAfterMs: 0 }],
      degraded: false,
    });
    assert.equal(leases.spend([demand], 1003), undefined, 'it began when the call was sent');
    assert.equal(leases.spend([demand], 1002)?.quotas[0]?.remaining, 50);
    assert.equal(leases.spend([demand], 1002), undefined);
  });

  it('spends nothing unless all demands are covered', () => {
    const leases = withLease(1);
    assert.equal(leases.spend([demand, { ...demand, key: 'other' }], 4), undefined);
    assert.notEqual(leases.spend([demand], 4), undefined);
  });

  const changes: readonly (readonly [string, Demand, (leases: Leases) => void])[] = [
    ['another limit, of a new bundle', { ...demand, plan: { ...large } }, () => {}],
    ['counters that were lost', demand, (leases) => leases.clear()],
  ];
  for (const [name, asked, change] of changes) {
    it(`admits nothing after ${name}`, () => {
      const leases = withLease(5);
      change(leases);
      assert.equal(leases.spend([asked], 4), undefined);
    });
  }

  it('a flood of other keys takes no lease away', () => {
    const leases = withLease(5);
    for (let i = 0; i < 30_000; i++) leases.wishes([{ plan: large, key: `flood ${i}` }], 1, 4);
    assert.notEqual(leases.spend([demand], 5), undefined);
  });
});

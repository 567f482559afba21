import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OnStoreFailure } from '../../policy/bundle/types.ts';
import { FallbackLimiter } from './fallback-limiter.ts';
import type { Demand, LimitPlan } from './limiter-store.ts';

const T = 1_800_000_000_000;

function demand(onStoreFailure: OnStoreFailure, limit = 10, burst = 0): Demand {
  const algorithm = burst === 0 ? 'SlidingWindow' : 'TokenBucket';
  const plan: LimitPlan = { name: onStoreFailure, algorithm, limit, windowMs: 60_000, burst, onStoreFailure };
  return { plan, key: onStoreFailure };
}

function spend(fallback: FallbackLimiter, of: Demand, replicas: number): number {
  let admitted = 0;
  while (admitted < 1000 && fallback.consume([of], T, replicas).admitted) admitted++;
  return admitted;
}

describe('FallbackLimiter', () => {
  const shares: readonly (readonly [string, Demand, number, number])[] = [
    ['a limit among 4', demand('LocalShare', 10), 4, 2],
    ['a limit among more replicas than it admits', demand('LocalShare', 3), 4, 1],
    ['a bucket among 4', demand('LocalShare', 10, 9), 4, 2],
    ['a limit of a replica alone', demand('LocalShare', 10), 1, 10],
    ['Allow', demand('Allow', 10), 4, 1000],
    ['Deny', demand('Deny', 10), 1, 0],
  ];
  for (const [name, of, replicas, expected] of shares) {
    it(`${name}: ${expected}`, () => assert.equal(spend(new FallbackLimiter(), of, replicas), expected));
  }

  it('follows the number of replicas', () => {
    const fallback = new FallbackLimiter();
    const of = demand('LocalShare', 12);
    assert.equal(spend(fallback, of, 4), 3);
    assert.equal(spend(fallback, of, 2), 3);
  });

  it('charges nothing when another limit of the request denies, and answers in the order of the demands', () => {
    const fallback = new FallbackLimiter();
    const share = demand('LocalShare', 2);
    const { admitted, quotas, degraded } = fallback.consume([demand('Allow'), share, demand('Deny')], T, 1);
    assert.deepEqual([admitted, degraded], [false, true]);
    assert.deepEqual(
      quotas.map(({ remaining, retryAfterMs }) => [remaining, retryAfterMs]),
      [
        [10, 0],
        [2, 0],
        [0, 1000],
      ],
    );
    assert.equal(spend(fallback, share, 1), 2);
  });
});

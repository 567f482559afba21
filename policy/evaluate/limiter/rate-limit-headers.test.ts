import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type HeaderDemand, type HeaderQuota, rateLimitHeaders } from './rate-limit-headers.ts';

const minute: HeaderDemand = {
  plan: { name: 'per-minute', algorithm: 'SlidingWindow', limit: 100, windowMs: 60_000, burst: 0 },
};
const hour: HeaderDemand = {
  plan: { name: 'hourly', algorithm: 'FixedWindow', limit: 1000, windowMs: 3_600_000, burst: 0 },
};
const bucket: HeaderDemand = {
  plan: { name: 'bucket', algorithm: 'TokenBucket', limit: 10, windowMs: 1000, burst: 100 },
};

function quota(remaining: number, resetMs: number, retryAfterMs = 0): HeaderQuota {
  return { remaining, resetMs, retryAfterMs };
}

const cases: readonly {
  readonly name: string;
  readonly demands: readonly HeaderDemand[];
  readonly quotas: readonly HeaderQuota[];
  readonly expected: readonly [string, string, string | null];
}[] = [
  {
    name: 'one limit',
    demands: [minute],
    quotas: [quota(50, 30_000)],
    expected: ['"per-minute";q=100;w=60', '"per-minute";r=50;t=30', null],
  },
  {
    name: 'seconds are rounded up',
    demands: [minute],
    quotas: [quota(0, 1, 1)],
    expected: ['"per-minute";q=100;w=60', '"per-minute";r=0;t=1', '1'],
  },
  {
    name: 'the fewest remaining is the strictest',
    demands: [minute, hour],
    quotas: [quota(50, 30_000), quota(49, 1_800_000)],
    expected: ['"per-minute";q=100;w=60, "hourly";q=1000;w=3600', '"hourly";r=49;t=1800', null],
  },
  {
    name: 'an exhausted limit is stricter, and the longest wait the strictest',
    demands: [minute, hour, bucket],
    quotas: [quota(0, 2000, 2000), quota(0, 60_001, 60_001), quota(0, 100, 0)],
    expected: ['"per-minute";q=100;w=60, "hourly";q=1000;w=3600, "bucket";q=100;w=10', '"hourly";r=0;t=61', '61'],
  },
  {
    name: 'a bucket is its size in the time that fills it',
    demands: [bucket],
    quotas: [quota(99, 100)],
    expected: ['"bucket";q=100;w=10', '"bucket";r=99;t=1', null],
  },
  {
    name: 'a window below a second is shown as one: w must be positive',
    demands: [{ plan: { ...minute.plan, windowMs: 250 } }],
    quotas: [quota(1, 0)],
    expected: ['"per-minute";q=100;w=1', '"per-minute";r=1;t=0', null],
  },
  {
    name: 'what a request costs is shown in requests',
    demands: [{ plan: { ...minute.plan, cost: 30 } }, { plan: { ...bucket.plan, cost: 7 } }],
    quotas: [quota(2, 1000), quota(3, 1000)],
    expected: ['"per-minute";q=3;w=60, "bucket";q=14;w=10', '"per-minute";r=2;t=1', null],
  },
  {
    name: 'a name is escaped as a String',
    demands: [{ plan: { ...minute.plan, name: 'a"b\\c' } }],
    quotas: [quota(1, 0)],
    expected: ['"a\\"b\\\\c";q=100;w=60', '"a\\"b\\\\c";r=1;t=0', null],
  },
];

describe('rateLimitHeaders', () => {
  for (const { name, demands, quotas, expected } of cases) {
    it(name, () => {
      const { policy, rateLimit, retryAfter } = rateLimitHeaders(demands, quotas);
      assert.deepEqual([policy, rateLimit, retryAfter], expected);
    });
  }
});

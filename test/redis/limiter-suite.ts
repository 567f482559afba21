import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { LimitAlgorithm } from '../../policy/bundle/types.ts';
import type { Demand, LimiterStore, LimitPlan } from '../../sidecar/stores/limiter-store.ts';
import { mustAdmit, shareOfBound } from './reference-limiter.ts';

const ALGORITHMS: readonly LimitAlgorithm[] = ['SlidingWindow', 'TokenBucket', 'FixedWindow'];
const EPOCH = 1_800_000_000_000;

/** Settings of the suite. */
export interface LimiterSuiteOptions {
  /** The store to test; it counts by the `now` that it is given and is used for all tests. */
  readonly store: () => LimiterStore;
  /** Runs of each property unless FC_RUNS says otherwise. */
  readonly runs: number;
  /** Windows that a steady load lasts; the more, the less its beginning and end count. */
  readonly windows: number;
}

/** What every LimiterStore promises, checked against admissions remembered one by one. */
export function limiterSuite(name: string, { store, runs, windows }: LimiterSuiteOptions): void {
  const numRuns = Number(process.env['FC_RUNS'] ?? runs);
  let keys = 0;
  const newKey = (): string => `suite|${keys++}`;
  const consume = async (demands: readonly Demand[], now: number) => {
    const admission = await store().consume(demands, now);
    assert.equal(admission.degraded, false, 'the store itself must answer in this suite');
    return admission;
  };

  describe(name, () => {
    it('agrees with the reference over random arrivals, charging all demands of a request or none', async () => {
      let most = 0;
      const property = fc.asyncProperty(plans(), fc.nat(120_000), arrivals(), async (some, start, steps) => {
        const counters = some.map((plan) => ({ demand: { plan, key: newKey() }, admittedAt: [] as number[] }));
        let now = EPOCH + start;
        for (const { gap, requests, subset } of steps) {
          now += gapMs(gap, some[0]!);
          const asked = counters.filter((_, i) => i === 0 || (subset & (1 << i)) !== 0);
          for (let i = 0; i < requests; i++) {
            const admission = await consume(
              asked.map(({ demand }) => demand),
              now,
            );
            if (admission.admitted) for (const { admittedAt } of asked) admittedAt.push(now);
            else {
              const free = asked.every(({ demand, admittedAt }) => mustAdmit(demand.plan, admittedAt, now));
              assert.ok(!free, `denied at ${now} although every counter had room`);
            }
          }
        }
        for (const { demand, admittedAt } of counters) most = Math.max(most, shareOfBound(demand.plan, admittedAt));
        assert.ok(most <= 1, `admitted ${most} of the bound`);
      });
      await fc.assert(property, { numRuns });
      console.log(`${name}, random arrivals: admitted / bound ${most.toFixed(4)}`);
      assert.ok(most > 0.99, 'the arrivals must reach the bound for the check to mean something');
    });

    for (const algorithm of ALGORITHMS) {
      it(`${algorithm}: keeps its bound against bursts around every slot and window edge`, async () => {
        let most = 0;
        for (const limit of [7, 70]) {
          const plan = planOf(algorithm, limit, 6000);
          for (const offset of [-1, 0, 1]) {
            const demand = { plan, key: newKey() };
            const admittedAt: number[] = [];
            for (let edge = 0; edge <= 2 * plan.windowMs; edge += plan.windowMs / 60) {
              const now = EPOCH + edge + offset;
              while ((await consume([demand], now)).admitted) admittedAt.push(now);
            }
            most = Math.max(most, shareOfBound(plan, admittedAt));
          }
        }
        console.log(`${name}, ${algorithm}, edges: admitted / bound ${most.toFixed(4)}`);
        assert.ok(most <= 1);
      });

      it(`${algorithm}: admits at least 95 % of the limit under a steady load`, async () => {
        for (const [limit, windowMs] of [
          [1, 1000],
          [10, 1000],
          [100, 60_000],
        ] as const) {
          const plan = planOf(algorithm, limit, windowMs);
          const demand = { plan, key: newKey() };
          const arrivals = 2 * limit * windows;
          let admitted = 0;
          for (let i = 0; i < arrivals; i++) {
            const now = EPOCH + Math.floor((i * windows * windowMs) / arrivals);
            if ((await consume([demand], now)).admitted) admitted++;
          }
          const utilisation = (admitted - plan.burst) / (limit * windows);
          console.log(`${name}, ${algorithm} ${limit} in ${windowMs} ms, steady: ${(100 * utilisation).toFixed(1)} %`);
          assert.ok(utilisation >= 0.95);
        }
      });

      it(`${algorithm}: admits again at retryAfterMs and not a millisecond before`, async () => {
        const property = fc.asyncProperty(planArbitrary([algorithm]), arrivals(), async (plan, steps) => {
          const demand = { plan, key: newKey() };
          let now = EPOCH;
          for (const { gap, requests } of steps) {
            now += gapMs(gap, plan);
            for (let i = 0; i < requests; i++) await consume([demand], now);
          }
          let admission = await consume([demand], now);
          while (admission.admitted) admission = await consume([demand], now);
          const { remaining, resetMs, retryAfterMs } = admission.quotas[0]!;
          assert.equal(remaining, 0);
          assert.equal(resetMs, retryAfterMs);
          assert.equal((await consume([demand], now + retryAfterMs - 1)).admitted, false);
          assert.equal((await consume([demand], now + retryAfterMs)).admitted, true);
        });
        await fc.assert(property, { numRuns });
      });

      it(`${algorithm}: says how many remain and when there are more`, async () => {
        const plan = planOf(algorithm, 5, 6000);
        const demand = { plan, key: newKey() };
        const capacity = plan.burst || plan.limit;
        for (let remaining = capacity - 1; remaining >= 0; remaining--) {
          const { admitted, quotas } = await consume([demand], EPOCH);
          assert.equal(admitted, true);
          assert.equal(quotas[0]!.remaining, remaining);
          assert.equal(quotas[0]!.retryAfterMs, 0);
          assert.ok(quotas[0]!.resetMs > 0);
        }
        const { resetMs } = (await consume([demand], EPOCH)).quotas[0]!;
        const { quotas } = await consume([demand], EPOCH + resetMs);
        assert.ok(quotas[0]!.remaining >= 0);
      });

      it(`${algorithm}: keeps its bound when the clock steps back, and does not lock out for ever`, async () => {
        const property = fc.asyncProperty(
          planArbitrary([algorithm]),
          fc.nat(120_000),
          fc.integer({ min: 1, max: 10_000_000 }),
          fc.integer({ min: 0, max: 100 }),
          async (plan, start, back, waitedPercent) => {
            const demand = { plan, key: newKey() };
            const admittedAt: number[] = [];
            const spend = async (time: number, now: number): Promise<void> => {
              while ((await consume([demand], now)).admitted) admittedAt.push(time);
            };
            const before = EPOCH + start;
            await spend(before, before);
            for (const waited of [waitedPercent, 100, 300 * (plan.cost ?? 1)]) {
              const time = before + Math.floor((plan.windowMs * waited) / 100);
              await spend(time, time - back);
            }
            // A fixed window does not begin at multiples of real time any more: twice the limit, as at a boundary.
            const asked = algorithm === 'FixedWindow' ? slidingTwice(plan) : plan;
            assert.ok(shareOfBound(asked, admittedAt) <= 1);
            const capacity = Math.floor((plan.burst || plan.limit) / (plan.cost ?? 1));
            assert.ok(admittedAt.length > capacity, 'admits again within three windows');
          },
        );
        await fc.assert(property, { numRuns });
      });
    }

    it('counts each key by itself', async () => {
      const plan = planOf('SlidingWindow', 1, 1000);
      const [one, other] = [newKey(), newKey()];
      assert.equal((await consume([{ plan, key: one }], EPOCH)).admitted, true);
      assert.equal((await consume([{ plan, key: other }], EPOCH)).admitted, true);
      assert.equal((await consume([{ plan, key: one }], EPOCH)).admitted, false);
    });

    it('goes on counting under a limit that was lowered or raised', async () => {
      const key = newKey();
      const spend = async (limit: number): Promise<number> => {
        const plan = planOf('SlidingWindow', limit, 1000);
        let admitted = 0;
        while ((await consume([{ plan, key }], EPOCH)).admitted) admitted++;
        return admitted;
      };
      assert.equal(await spend(5), 5);
      assert.equal(await spend(3), 0);
      assert.equal(await spend(7), 2);
    });
  });
}

function planOf(algorithm: LimitAlgorithm, limit: number, windowMs: number): LimitPlan {
  const burst = algorithm === 'TokenBucket' ? limit + 3 : 0;
  return { name: 'limit', algorithm, limit, windowMs, burst, onStoreFailure: 'LocalShare' };
}

function slidingTwice(plan: LimitPlan): LimitPlan {
  return { ...plan, algorithm: 'SlidingWindow', limit: 2 * plan.limit };
}

function planArbitrary(algorithms: readonly LimitAlgorithm[]): fc.Arbitrary<LimitPlan> {
  return fc
    .record({
      algorithm: fc.constantFrom(...algorithms),
      limit: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 61, max: 63 })),
      windowMs: fc.constantFrom(1000, 1777, 60_000),
      extra: fc.nat(5),
      cost: fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 4 })),
    })
    .map(({ algorithm, limit, windowMs, extra, cost }) => ({
      ...planOf(algorithm, limit, windowMs),
      ...(algorithm === 'TokenBucket' ? { burst: cost + extra, cost } : { cost: Math.min(cost, limit) }),
    }));
}

function plans(): fc.Arbitrary<LimitPlan[]> {
  return fc.array(planArbitrary(ALGORITHMS), { minLength: 1, maxLength: 3 });
}

interface Step {
  readonly gap: Gap;
  readonly requests: number;
  /** Bit i: the request also asks counter i. */
  readonly subset: number;
}

/** A part of the window, and a few milliseconds more or less. */
interface Gap {
  readonly of: 'Nothing' | 'Slot' | 'Window' | 'HalfWindow' | 'Anything';
  readonly off: number;
  readonly anything: number;
}

function arrivals(): fc.Arbitrary<Step[]> {
  const gap = fc.record({
    of: fc.constantFrom('Nothing', 'Slot', 'Window', 'HalfWindow', 'Anything'),
    off: fc.integer({ min: -1, max: 1 }),
    anything: fc.nat(1000),
  });
  const step = fc.record({
    gap,
    requests: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constant(40)),
    subset: fc.nat(7),
  });
  return fc.array(step, { minLength: 1, maxLength: 20 });
}

function gapMs({ of, off, anything }: Gap, { windowMs }: LimitPlan): number {
  const parts = {
    Nothing: 0,
    Slot: Math.ceil(windowMs / 60),
    Window: windowMs,
    HalfWindow: windowMs / 2,
    Anything: (anything * windowMs) / 800,
  };
  return Math.max(0, Math.floor(parts[of]) + off);
}

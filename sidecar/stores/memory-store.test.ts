import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LimitAlgorithm } from '../../policy/bundle/types.ts';
import type { LimitPlan } from './limiter-store.ts';
import { MemoryStore } from './memory-store.ts';

const T = 1_800_000_000_000;

function planOf(algorithm: LimitAlgorithm, limit: number): LimitPlan {
  const burst = algorithm === 'TokenBucket' ? limit : 0;
  return { name: 'limit', algorithm, limit, windowMs: 60_000, burst, onStoreFailure: 'LocalShare' };
}

describe('MemoryStore', () => {
  for (const algorithm of ['SlidingWindow', 'TokenBucket', 'FixedWindow'] as const) {
    it(`${algorithm}: a flood of other keys neither frees a key's count nor grows the memory`, () => {
      const store = new MemoryStore({ maxCounters: 100 });
      const plan = planOf(algorithm, 5);
      let admitted = 0;
      for (let i = 0; i < 50_000; i++) {
        const now = T + Math.floor(i / 100_000);
        if (store.consume([{ plan, key: `flood ${i}` }], now).admitted) assert.ok(store.size <= 100);
        if (i % 1000 === 0 && store.consume([{ plan, key: 'victim' }], now).admitted) admitted++;
      }
      assert.ok(admitted <= 5, `admitted ${admitted} of 5`);
    });

    it(`${algorithm}: forgets counters that are whole again`, () => {
      const store = new MemoryStore();
      const plan = planOf(algorithm, 5);
      for (let i = 0; i < 1000; i++) store.consume([{ plan, key: `early ${i}` }], T);
      assert.equal(store.size, 1000);
      for (let i = 0; i < 1000; i++) store.consume([{ plan, key: `late ${i}` }], T + 180_000);
      assert.ok(store.size <= 1000, `${store.size} counters`);
      assert.equal(store.consume([{ plan, key: 'late 0' }], T + 180_000).quotas[0]?.remaining, 3);
    });
  }

  it('keeps serving new keys while counters with room are evicted', () => {
    const store = new MemoryStore({ maxCounters: 100 });
    const plan = planOf('SlidingWindow', 5);
    let admitted = 0;
    for (let i = 0; i < 1000; i++) if (store.consume([{ plan, key: `user ${i}` }], T + i).admitted) admitted++;
    assert.equal(admitted, 1000);
  });

  it('charges a request whose own counter pushes another of its counters out', () => {
    const store = new MemoryStore({ maxCounters: 1 });
    const plan = planOf('SlidingWindow', 2);
    const demands = [
      { plan, key: 'one' },
      { plan, key: 'two' },
    ];
    const admitted = [0, 1, 2, 3].map((i) => store.consume(demands, T + i).admitted);
    assert.deepEqual(admitted, [true, true, false, false]);
  });

  it('begins a new count when a bundle changes the algorithm or the window of a limit', () => {
    const store = new MemoryStore();
    const remaining = (plan: LimitPlan) => store.consume([{ plan, key: 'user' }], T).quotas[0]?.remaining;
    assert.equal(remaining(planOf('SlidingWindow', 5)), 4);
    assert.equal(remaining(planOf('SlidingWindow', 5)), 3);
    assert.equal(remaining(planOf('FixedWindow', 5)), 4);
    assert.equal(remaining({ ...planOf('FixedWindow', 5), windowMs: 1000 }), 4);
  });

  it('admits a request without demands', () => {
    assert.deepEqual(new MemoryStore().consume([], T), { admitted: true, quotas: [], degraded: false });
  });
});

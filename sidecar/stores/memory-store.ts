import type { Counter } from '../../policy/evaluate/limiter/counter.ts';
import { createCounter } from '../../policy/evaluate/limiter/counter.ts';
import { EvictedCounters } from './evicted-counters.ts';
import type { Admission, Demand, LimiterStore, LimitPlan, Quota } from './limiter-store.ts';

const DEFAULT_MAX_COUNTERS = 100_000;
/** Old counters looked at for each new one; more than one, so that forgetting outruns arriving. */
const LOOKED_AT_PER_NEW = 4;

interface Entry {
  readonly key: string;
  plan: LimitPlan;
  counter: Counter;
}

/** Settings of a MemoryStore. */
export interface MemoryStoreOptions {
  /** Counters kept at once; default 100,000. */
  readonly maxCounters?: number;
}

/**
 * Counts in the memory of this process; answers synchronously and is always available. Counters that are whole again are
 * forgotten a few at a time as new ones arrive. Above `maxCounters` the nearest to whole of a few is evicted, and a
 * key that comes back assumes what was evicted (EvictedCounters), so that no eviction lets a key exceed its bound.
 */
export class MemoryStore implements LimiterStore {
  readonly available = true;
  readonly replicas = 1;
  readonly #maxCounters: number;
  readonly #entries = new Map<string, Entry>();
  readonly #evicted = new EvictedCounters();
  #cursor: Iterator<Entry> = this.#entries.values();
  #added = 0;
  /** Of the request being decided, by demand; fields only to save two allocations a request. */
  readonly #counters: Counter[] = [];
  readonly #rooms: number[] = [];

  constructor(options: MemoryStoreOptions = {}) {
    this.#maxCounters = options.maxCounters ?? DEFAULT_MAX_COUNTERS;
  }

  /** Counters held now. */
  get size(): number {
    return this.#entries.size;
  }

  consume(demands: readonly Demand[], now: number): Admission {
    let admitted = true;
    for (let i = 0; i < demands.length; i++) {
      const demand = demands[i]!;
      const counter = this.#counterOf(demand, now);
      const room = counter.available(demand.plan, now);
      if (room < 1) admitted = false;
      this.#counters[i] = counter;
      this.#rooms[i] = room;
    }
    const quotas: Quota[] = [];
    for (let i = 0; i < demands.length; i++) {
      const plan = demands[i]!.plan;
      const counter = this.#counters[i]!;
      const room = this.#rooms[i]!;
      if (admitted) counter.charge(plan.cost);
      const resetMs = Math.max(0, counter.moreAt(plan) - now);
      quotas.push({ remaining: admitted ? room - 1 : room, resetMs, retryAfterMs: room < 1 ? resetMs : 0 });
    }
    // Only now: a counter evicted before it was charged would take the charge with it.
    for (; this.#added > 0; this.#added--) this.#forgetSome(now);
    return { admitted, quotas, degraded: false };
  }

  async close(): Promise<void> {
    this.#entries.clear();
  }

  #counterOf(demand: Demand, now: number): Counter {
    const { key, plan } = demand;
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      const counter = createCounter(plan.algorithm, plan.windowMs);
      this.#evicted.recall(demand, counter, now);
      this.#entries.set(key, { key, plan, counter });
      this.#added++;
      return counter;
    }
    if (entry.plan !== plan) {
      // A new bundle: the count goes on under a new limit, but not under a new algorithm or window.
      if (entry.plan.algorithm !== plan.algorithm || entry.plan.windowMs !== plan.windowMs) {
        entry.counter = createCounter(plan.algorithm, plan.windowMs);
      }
      entry.plan = plan;
    }
    return entry.counter;
  }

  #forgetSome(now: number): void {
    let nearest: Entry | undefined;
    let nearestAt = Number.POSITIVE_INFINITY;
    for (let looked = 0; looked < LOOKED_AT_PER_NEW; looked++) {
      const entry = this.#next();
      if (entry === undefined) break;
      const wholeAt = entry.counter.wholeAt(entry.plan);
      if (wholeAt <= now) {
        this.#entries.delete(entry.key);
      } else if (wholeAt < nearestAt) {
        nearest = entry;
        nearestAt = wholeAt;
      }
    }
    if (nearest === undefined || this.#entries.size <= this.#maxCounters) return;
    nearest.counter.available(nearest.plan, now);
    this.#evicted.remember(nearest.key, nearest.plan, nearest.counter);
    this.#entries.delete(nearest.key);
  }

  #next(): Entry | undefined {
    let next = this.#cursor.next();
    if (next.done === true) {
      this.#cursor = this.#entries.values();
      next = this.#cursor.next();
    }
    return next.done === true ? undefined : next.value;
  }
}

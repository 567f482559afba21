import type { Counter } from '../../policy/evaluate/limiter/counter.ts';
import type { Demand, LimitPlan } from './limiter-store.ts';

const GROUPS_PER_LIMIT = 1024;

interface Evicted {
  used: number;
  until: number;
}

/**
 * Remembers in bounded memory at most how much was forgotten: for each limit the keys fall into 1,024 groups by hash, and a group
 * keeps the largest count evicted from it and the latest time any of it mattered.
 */
export class EvictedCounters {
  readonly #groups = new Map<string, Evicted>();

  /** Notes a counter that is about to be forgotten; its `available()` must have been called at this time. */
  remember(key: string, plan: LimitPlan, counter: Counter): void {
    const group = groupOf(key, plan);
    const evicted = this.#groups.get(group);
    const used = counter.used();
    const until = counter.wholeAt(plan);
    if (evicted === undefined) {
      this.#groups.set(group, { used, until });
    } else {
      evicted.used = Math.max(evicted.used, used);
      evicted.until = Math.max(evicted.until, until);
    }
  }

  /** Makes a new counter assume whatever its key may have had counted when it was evicted. */
  recall(demand: Demand, counter: Counter, now: number): void {
    if (this.#groups.size === 0) return;
    const group = groupOf(demand.key, demand.plan);
    const evicted = this.#groups.get(group);
    if (evicted === undefined) return;
    if (evicted.until <= now) this.#groups.delete(group);
    else counter.assume(evicted.used, evicted.until);
  }
}

function groupOf(key: string, plan: LimitPlan): string {
  return `${plan.name} ${plan.algorithm} ${plan.windowMs} ${hash(key) % GROUPS_PER_LIMIT}`;
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

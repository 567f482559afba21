import type { Admission, Demand, LimitPlan, Quota } from './limiter-store.ts';
import { LONGEST_LEASE_MS } from './lua/consume-script.ts';

/** A lease lasts a sixtieth of the window at most, as long as a slot: the two together cost a steady load less than 5 % of its limit. */
const LEASES_PER_WINDOW = 60;
/** Of the time that fills a bucket at most an eighth. */
const LEASES_PER_BUCKET = 8;
/** A limit is leased from when this many requests fall to each replica in the time of a lease: at 60 s windows from 960 a minute. */
const WORTHWHILE = 16;
/** After so many lease times without a request what is known of a key's pace is too old. */
const STALE_LEASES = 4;
/** A key that had fewer requests since the last lease is not leased: it would save next to nothing. */
const FEWEST_REQUESTS = 4;
const MAX_KEYS = 10_000;

/** How a plan is leased. */
interface Terms {
  readonly leaseMs: number;
  /** Requests that the limit admits in the time of a lease. */
  readonly perLease: number;
  /** Units leased at once, at most: what the limit admits in the time of two leases. */
  readonly most: number;
}

/** What one key may spend here without asking, and how fast it does. */
interface Lease {
  plan: LimitPlan;
  units: number;
  /** Monotonic milliseconds, as all times here. */
  endsAt: number;
  /** What the store said last: requests left beside the lease, and when there are more. */
  remaining: number;
  moreAt: number;
  /** Requests since `since`: the pace that the next lease is measured by. */
  requests: number;
  since: number;
  /** True while a call that wants a lease is under way: one is enough. */
  asking: boolean;
}

/** What a call asks for besides the admission of its request: for each demand. */
export interface Wish {
  readonly units: number;
  readonly forMs: number;
}

/**
 * What this process may admit by itself. A lease's units are charged in the shared store when they are leased, and count there until
 * the lease has ended and a window more has passed (lua/consume-script.ts): whatever is spent before it ends has been counted,
 * what is not is lost. Times are monotonic and begin before the store was asked, so that no wall clock matters.
 */
export class Leases {
  readonly #terms = new WeakMap<LimitPlan, Terms>();
  readonly #leases = new Map<string, Lease>();

  /** Admits from leases alone, when they cover every demand; else undefined, and nothing is spent. */
  spend(demands: readonly Demand[], at: number): Admission | undefined {
    if (this.#leases.size === 0) return undefined;
    for (const { key, plan } of demands) {
      if (this.#termsOf(plan).perLease < WORTHWHILE) return undefined;
      const lease = this.#leases.get(key);
      if (lease === undefined || lease.plan !== plan || at >= lease.endsAt) return undefined;
      if (lease.units < (plan.cost ?? 1)) return undefined;
    }
    const quotas = demands.map(({ key, plan: { cost = 1 } }): Quota => {
      const lease = this.#leases.get(key)!;
      lease.units -= cost;
      lease.requests++;
      const resetMs = Math.max(0, Math.ceil(lease.moreAt - at));
      return { remaining: lease.remaining + Math.floor(lease.units / cost), resetMs, retryAfterMs: 0 };
    });
    return { admitted: true, quotas, degraded: false };
  }

  /** What to lease with a call for these demands; null: nothing, because a limit is too small for the replicas that share it or for its pace. */
  wishes(demands: readonly Demand[], replicas: number, at: number): readonly Wish[] | null {
    for (const { plan } of demands) if (this.#termsOf(plan).perLease < WORTHWHILE * replicas) return null;
    const wishes = demands.map(({ key, plan }) => this.#wish(key, plan, at));
    return wishes.some(({ units }) => units > 0) ? wishes : null;
  }

  /** Notes what was leased by a call that was sent at `sentAt`, or that it leased nothing. `leased`: units and milliseconds, a pair a demand. */
  settle(demands: readonly Demand[], quotas: readonly Quota[] | null, leased: readonly number[], sentAt: number): void {
    for (let i = 0; i < demands.length; i++) {
      const { key, plan } = demands[i]!;
      const lease = this.#leases.get(key);
      if (lease === undefined) continue;
      lease.asking = false;
      const units = leased[2 * i] ?? 0;
      const quota = quotas?.[i];
      if (units === 0 || quota === undefined || lease.plan !== plan) continue;
      // The oldest stand first.
      this.#leases.delete(key);
      this.#leases.set(key, lease);
      lease.units = units;
      lease.endsAt = sentAt + (leased[2 * i + 1] ?? 0);
      lease.remaining = quota.remaining;
      lease.moreAt = sentAt + quota.resetMs;
      lease.requests = 0;
      lease.since = sentAt;
    }
  }

  /** Gives all leases up, for instance because the store may have forgotten them. */
  clear(): void {
    this.#leases.clear();
  }

  #wish(key: string, plan: LimitPlan, at: number): Wish {
    const { leaseMs, most } = this.#termsOf(plan);
    const lease = this.#leases.get(key);
    if (lease === undefined) {
      if (this.#leases.size >= MAX_KEYS && !this.#forgetOldest(at)) return { units: 0, forMs: leaseMs };
      const nothing = { units: 0, endsAt: 0, remaining: 0, moreAt: 0 };
      this.#leases.set(key, { plan, ...nothing, requests: 1, since: at, asking: false });
      return { units: 0, forMs: leaseMs };
    }
    if (lease.plan !== plan || at - lease.since > STALE_LEASES * leaseMs) {
      lease.plan = plan;
      lease.units = 0;
      lease.requests = 1;
      lease.since = at;
      return { units: 0, forMs: leaseMs };
    }
    lease.requests++;
    if (lease.asking || lease.requests < FEWEST_REQUESTS) return { units: 0, forMs: leaseMs };
    const { cost = 1 } = plan;
    // As much as went through in as long a time, and no more than twice what there was, so that a short burst leases little.
    const pace = (lease.requests * leaseMs) / Math.max(1, at - lease.since);
    const requests = Math.floor(Math.min(pace, 2 * lease.requests, most / cost));
    lease.asking = requests > 0;
    return { units: requests * cost, forMs: leaseMs };
  }

  /** False: the oldest may still be spent. A flood of new keys must not take leases from those that have them. */
  #forgetOldest(at: number): boolean {
    const [oldest] = this.#leases;
    if (oldest === undefined) return true;
    const [key, { units, endsAt }] = oldest;
    return (units === 0 || at >= endsAt) && this.#leases.delete(key);
  }

  #termsOf(plan: LimitPlan): Terms {
    let terms = this.#terms.get(plan);
    if (terms === undefined) {
      terms = termsOf(plan);
      this.#terms.set(plan, terms);
    }
    return terms;
  }
}

function termsOf({ algorithm, limit, windowMs, burst, cost = 1 }: LimitPlan): Terms {
  const shortest =
    algorithm === 'TokenBucket' ? (burst * windowMs) / limit / LEASES_PER_BUCKET : windowMs / LEASES_PER_WINDOW;
  const leaseMs = Math.floor(Math.min(LONGEST_LEASE_MS, shortest));
  const units = (limit * leaseMs) / windowMs;
  return { leaseMs, perLease: units / cost, most: Math.floor(2 * units) };
}

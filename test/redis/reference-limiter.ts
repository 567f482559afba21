import type { LimitPlan } from '../../sidecar/stores/limiter-store.ts';

/** Length of the slots, in milliseconds, in which SlidingWindow remembers requests (docs/limits.md). */
export function slotMs({ limit, windowMs }: LimitPlan): number {
  return limit <= 60 ? 1 : Math.ceil(windowMs / 60);
}

/** The largest share of its bound that a plan's admissions reach in any interval; above 1 the bound is broken. Slow and obvious. */
export function shareOfBound(plan: LimitPlan, admittedAt: readonly number[]): number {
  let most = 0;
  for (let first = 0; first < admittedAt.length; first++) {
    for (let last = first; last < admittedAt.length; last++) {
      const from = admittedAt[first]!;
      const to = admittedAt[last]!;
      most = Math.max(most, ((last - first + 1) * (plan.cost ?? 1)) / bound(plan, from, to));
    }
  }
  return most;
}

/** The same for many admissions, oldest first: in a time that grows with their number alone. */
export function shareOfBoundOfMany(plan: LimitPlan, admittedAt: readonly number[]): number {
  const { algorithm, limit, windowMs, burst, cost = 1 } = plan;
  let most = 0;
  let first = 0;
  const whole = burst * windowMs;
  let spare = whole;
  for (let last = 0; last < admittedAt.length; last++) {
    const at = admittedAt[last]!;
    if (algorithm === 'TokenBucket') {
      // What is in a bucket that began full, in whole units: a request costs windowMs, a millisecond brings limit.
      if (last > 0) spare = Math.min(whole, spare + limit * (at - admittedAt[last - 1]!));
      spare -= cost * windowMs;
      most = Math.max(most, (whole - spare) / whole);
      continue;
    }
    const isApart = (from: number): boolean =>
      algorithm === 'SlidingWindow' ? at - from >= windowMs : Math.floor(from / windowMs) !== Math.floor(at / windowMs);
    while (isApart(admittedAt[first]!)) first++;
    most = Math.max(most, ((last - first + 1) * cost) / limit);
  }
  return most;
}

/** How much the plan may admit from the first of these times to the second, both included. */
function bound({ algorithm, limit, windowMs, burst }: LimitPlan, from: number, to: number): number {
  switch (algorithm) {
    case 'SlidingWindow':
      return to - from < windowMs ? limit : Number.POSITIVE_INFINITY;
    case 'TokenBucket':
      return burst + (limit * (to - from)) / windowMs;
    case 'FixedWindow':
      return Math.floor(from / windowMs) === Math.floor(to / windowMs) ? limit : Number.POSITIVE_INFINITY;
  }
}

/**
 * Whether the plan must admit at `now`, given everything it has admitted: the bound allows it, and for SlidingWindow would even
 * if each request counted until its slot has left the window.
 */
export function mustAdmit(plan: LimitPlan, admittedAt: readonly number[], now: number): boolean {
  const { algorithm, windowMs, cost = 1 } = plan;
  const held = algorithm === 'SlidingWindow' ? { ...plan, windowMs: windowMs + slotMs(plan) - 1 } : plan;
  // Only intervals that end now are new.
  return admittedAt.every((from, first) => (admittedAt.length - first + 1) * cost <= bound(held, from, now));
}

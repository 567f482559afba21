import type { LimitAlgorithm } from '../../policy/bundle/types.ts';
import type { LimitPlan } from '../../sidecar/stores/limiter-store.ts';

/** When an admitted request was asked and answered, in epoch milliseconds. */
export type AdmissionTime = readonly [asked: number, answered: number];

/** Share of the limit that was admitted over whole windows, the first burst of a bucket left out. */
export function shareOfLimit(
  { algorithm, limit, windowMs, burst }: LimitPlan,
  admissions: readonly AdmissionTime[],
): number {
  const first = Math.min(...admissions.map(([asked]) => asked));
  const last = Math.max(...admissions.map(([, answered]) => answered));
  const from = algorithm === 'FixedWindow' ? Math.ceil(first / windowMs) * windowMs : first;
  const windows = Math.floor((last - from) / windowMs);
  const within = admissions.filter(([asked, answered]) => asked >= from && answered < from + windows * windowMs);
  return (within.length - burst) / (limit * windows);
}

/**
 * The share of the bound that was certainly reached: Redis decided somewhere between asking and answering, so only admissions
 * whose whole time lies in an interval count for it.
 */
export function certainShareOfBound(plan: LimitPlan, admissions: readonly AdmissionTime[]): number {
  const byEnd = admissions.toSorted((one, other) => one[1] - other[1]);
  let most = 0;
  for (const [from] of admissions) {
    let inside = 0;
    for (const [asked, answered] of byEnd) {
      if (asked < from) continue;
      const bound = certainBound(plan.algorithm, plan, from, answered);
      if (bound === undefined) break;
      inside++;
      most = Math.max(most, inside / bound);
    }
  }
  return most;
}

/** The most that may be admitted between two times; undefined when that is not bounded. Redis counts whole milliseconds. */
function certainBound(
  algorithm: LimitAlgorithm,
  { limit, windowMs, burst }: LimitPlan,
  from: number,
  to: number,
): number | undefined {
  switch (algorithm) {
    case 'SlidingWindow':
      return to - from < windowMs - 1 ? limit : undefined;
    case 'TokenBucket':
      return burst + (limit * (to - from + 1)) / windowMs;
    case 'FixedWindow':
      return Math.floor(from / windowMs) === Math.floor(to / windowMs) ? limit : undefined;
  }
}

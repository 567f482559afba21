const FIRST_MS = 100;
const SLOWEST_QUICK_MS = 2_000;
/** A pod that has not followed by now will not in the next second either. */
const QUICK_FOR_MS = 120_000;
const LATE_MS = 15_000;
const REST_MS = 60_000;

/**
 * Milliseconds until a pod is asked again. `awaitedForMs`: how long something has been awaited of it; null: nothing is.
 * `random` in [0, 1) spreads the rounds at rest, so that pods that started together are not asked together.
 */
export function nextRound(awaitedForMs: number | null, random: number): number {
  if (awaitedForMs === null) return REST_MS * (0.75 + random / 2);
  if (awaitedForMs > QUICK_FOR_MS) return LATE_MS * (0.75 + random / 2);
  return Math.min(Math.max(awaitedForMs / 4, FIRST_MS), SLOWEST_QUICK_MS);
}

/** When a pod that lags behind is touched, in milliseconds after the bundle was expected: a kubelet may see the touch before the Secret. */
const TOUCHES_MS = [0, 5_000, 20_000] as const;

/** Whether a pod that was touched `touches` times for a bundle awaited since `awaitedForMs` is to be touched again. */
export function touchIsDue(touches: number, awaitedForMs: number): boolean {
  return awaitedForMs >= (TOUCHES_MS[touches] ?? Number.POSITIVE_INFINITY);
}

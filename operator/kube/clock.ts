/** Time, as an argument: what waits or measures takes one. */
export interface Clock {
  /** Milliseconds that never go back, from an arbitrary start; for durations. */
  now(): number;
  /** Epoch milliseconds; for what others read. */
  epoch(): number;
  /** Calls `run` once, after at least `ms` milliseconds; returns what cancels it. */
  after(ms: number, run: () => void): () => void;
}

/** The longest wait of a timer in Node; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The machine's own clock. A wait of more than 24.8 days ends after 24.8. */
export const systemClock: Clock = {
  now: () => performance.now(),
  epoch: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(ms, MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms` milliseconds, or as soon as `signal` is aborted. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = (): void => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal?.addEventListener('abort', end);
  });
}

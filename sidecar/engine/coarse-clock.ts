const INTERVAL_MS = 50;

/** A clock that is read for nothing and is late by at most its interval: for time-outs, never for limits or tokens. */
export interface CoarseClock {
  /** Milliseconds from an arbitrary start, never backwards. */
  readonly now: number;
  stop(): void;
}

/** Starts a clock; it does not keep the process alive. */
export function startCoarseClock(): CoarseClock {
  const clock = {
    now: performance.now(),
    stop: () => clearInterval(timer),
  };
  const timer = setInterval(() => {
    clock.now = performance.now();
  }, INTERVAL_MS);
  timer.unref();
  return clock;
}

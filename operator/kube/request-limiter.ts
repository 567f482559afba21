/** A token bucket in front of all requests of a client, as client-go has: the API server is spared whatever we do. */
export class RequestLimiter {
  readonly #intervalMs: number;
  readonly #burst: number;
  /** When the bucket will be full again (GCRA's theoretical arrival time). */
  #fullAt = 0;

  constructor(perSecond: number, burst: number) {
    this.#intervalMs = 1000 / perSecond;
    this.#burst = burst;
  }

  /** Takes the next turn; returns how many milliseconds from `now` (monotonic) it is away. */
  reserve(now: number): number {
    this.#fullAt = Math.max(this.#fullAt, now) + this.#intervalMs;
    return Math.max(0, this.#fullAt - this.#burst * this.#intervalMs - now);
  }
}

import type { Allowance, Counter } from './counter.ts';

/**
 * Never admits more than `limit` requests in any window that begins at a multiple of `windowMs` since the epoch; an interval of
 * `windowMs` across a boundary can hold twice the limit.
 */
export class FixedWindow implements Counter {
  readonly algorithm = 'FixedWindow';
  readonly windowMs: number;
  #window = 0;
  #count = 0;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  available(allowance: Allowance, now: number): number {
    const window = Math.floor(now / this.windowMs);
    if (window > this.#window) {
      this.#window = window;
      this.#count = 0;
    } else if (window + 1 < this.#window) {
      // The clock stepped back: hold what was counted for a whole window more, but not for ever.
      this.#window = window + 1;
    }
    return Math.max(0, Math.floor((allowance.limit - this.#count) / (allowance.cost ?? 1)));
  }

  charge(cost = 1): void {
    this.#count += cost;
  }

  assume(units: number, until: number): void {
    this.#window = Math.ceil(until / this.windowMs) - 1;
    this.#count = units;
  }

  used(): number {
    return this.#count;
  }

  wholeAt(): number {
    return this.#count === 0 ? 0 : (this.#window + 1) * this.windowMs;
  }

  moreAt(): number {
    return this.wholeAt();
  }
}

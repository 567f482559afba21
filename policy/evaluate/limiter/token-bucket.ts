import type { Allowance, Counter } from './counter.ts';

/**
 * Never admits more than `burst + limit × t / windowMs` requests in any interval of t. Kept as what is missing from
 * the full bucket, in whole units (a request costs `windowMs` units, each millisecond pays back `limit`), so that nothing is ever rounded.
 */
export class TokenBucket implements Counter {
  readonly algorithm = 'TokenBucket';
  readonly windowMs: number;
  #debt = 0;
  #at = 0;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  available(allowance: Allowance, now: number): number {
    if (now > this.#at) {
      if (this.#at > 0) this.#debt = Math.max(0, this.#debt - (now - this.#at) * allowance.limit);
      this.#at = now;
    } else if (this.#at - now > this.windowMs) {
      // The clock stepped back. By less, time stands still: requests decided out of order must not be paid for the same time twice.
      this.#at = now;
    }
    const room = allowance.burst * this.windowMs - this.#debt;
    const price = this.windowMs * (allowance.cost ?? 1);
    return room < price ? 0 : Math.floor(room / price);
  }

  charge(cost = 1): void {
    this.#debt += cost * this.windowMs;
  }

  assume(units: number): void {
    this.#debt += units * this.windowMs;
  }

  used(): number {
    return Math.ceil(this.#debt / this.windowMs);
  }

  wholeAt(allowance: Allowance): number {
    return this.#at + Math.ceil(this.#debt / allowance.limit);
  }

  moreAt(allowance: Allowance): number {
    const room = allowance.burst * this.windowMs - this.#debt;
    const price = this.windowMs * (allowance.cost ?? 1);
    const wanted = (Math.max(0, Math.floor(room / price)) + 1) * price;
    return this.#debt === 0 ? 0 : this.#at + Math.ceil(Math.min(this.#debt, wanted - room) / allowance.limit);
  }
}

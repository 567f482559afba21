import type { Allowance, Counter } from './counter.ts';

/** Up to this limit every request is remembered by its own millisecond; above, by its slot, a sixtieth of the window. */
const EXACT_UP_TO = 60;
const SLOTS_PER_WINDOW = 60;
/** Runs are pairs in one array: last millisecond of a slot, requests in that slot. */
const RUN = 2;
const COMPACT_FROM = 32 * RUN;

/**
 * Never admits more than `limit` requests in any interval of `windowMs`. A request counts until the last millisecond of its slot has
 * left the window: a steady load is admitted at 60/61 of the limit or better, and a limit of up to 60 is exact.
 * Memory grows with the slots that hold requests, to about 100 numbers at most.
 */
export class SlidingWindow implements Counter {
  readonly algorithm = 'SlidingWindow';
  readonly windowMs: number;
  /** Oldest first, from #head on. */
  #runs: number[] = [];
  #head = 0;
  #total = 0;
  /** The run that a charge goes to. */
  #slotEnd = 0;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  available(allowance: Allowance, now: number): number {
    const slotMs = allowance.limit <= EXACT_UP_TO ? 1 : Math.ceil(this.windowMs / SLOTS_PER_WINDOW);
    let slotEnd = Math.floor(now / slotMs) * slotMs + slotMs - 1;
    if (this.#total > 0) {
      const newest = this.#runs[this.#runs.length - RUN]!;
      if (newest > slotEnd) {
        // The clock stepped back: time stands still, unless that would last for more than a window.
        if (newest - slotEnd > this.windowMs) this.#moveAllTo(slotEnd);
        else slotEnd = newest;
      }
      this.#forgetUntil(now - this.windowMs);
    }
    this.#slotEnd = slotEnd;
    return Math.max(0, Math.floor((allowance.limit - this.#total) / (allowance.cost ?? 1)));
  }

  charge(cost = 1): void {
    this.#add(this.#slotEnd, cost);
  }

  assume(units: number, until: number): void {
    this.#add(until - this.windowMs, units);
  }

  used(): number {
    return this.#total;
  }

  wholeAt(): number {
    return this.#total === 0 ? 0 : this.#runs[this.#runs.length - RUN]! + this.windowMs;
  }

  moreAt(allowance: Allowance): number {
    if (this.#total === 0) return 0;
    const runs = this.#runs;
    const cost = allowance.cost ?? 1;
    const wanted = (Math.max(0, Math.floor((allowance.limit - this.#total) / cost)) + 1) * cost;
    // Much must leave when the limit was lowered since; never more than there is, when the rest of a limit is less than the cost.
    const leaving = Math.min(this.#total, Math.max(1, this.#total - allowance.limit + wanted));
    let at = this.#head;
    for (let left = runs[at + 1]!; left < leaving; left += runs[at + 1]!) at += RUN;
    return runs[at]! + this.windowMs;
  }

  #add(slotEnd: number, units: number): void {
    const runs = this.#runs;
    const newest = runs.length - RUN;
    if (newest < 0) this.#runs = [slotEnd, units];
    else if (runs[newest] === slotEnd) runs[newest + 1]! += units;
    else runs.push(slotEnd, units);
    this.#total += units;
  }

  #moveAllTo(slotEnd: number): void {
    this.#runs = [slotEnd, this.#total];
    this.#head = 0;
  }

  #forgetUntil(time: number): void {
    const runs = this.#runs;
    let head = this.#head;
    while (head < runs.length && runs[head]! <= time) {
      this.#total -= runs[head + 1]!;
      head += RUN;
    }
    if (head === runs.length) {
      runs.length = 0;
      head = 0;
    } else if (head >= COMPACT_FROM) {
      runs.copyWithin(0, head);
      runs.length -= head;
      head = 0;
    }
    this.#head = head;
  }
}

import { setImmediate as settle } from 'node:timers/promises';
import type { Clock } from '../clock.ts';

/** A clock that stands still until it is moved. */
export class FakeClock implements Clock {
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();
  readonly #epochAtStart: number;
  #now = 0;

  /** `epochAtStart`: epoch milliseconds when `now` is 0. */
  constructor(epochAtStart = Date.UTC(2030, 0, 1)) {
    this.#epochAtStart = epochAtStart;
  }

  now(): number {
    return this.#now;
  }

  epoch(): number {
    return this.#epochAtStart + this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets time pass: runs what is due, in order, and after each all that follows without a further wait. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.run();
      await settle();
    }
    this.#now = end;
  }
}

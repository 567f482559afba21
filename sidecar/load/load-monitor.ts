import { OverloadControl } from './overload-control.ts';

const TICK_MS = 20;

/** Watches how late this process's event loop runs, and says which requests it has no time for. */
export class LoadMonitor {
  readonly #control = new OverloadControl();
  readonly #timer: NodeJS.Timeout;
  /** Requests refused so far. */
  shed = 0;

  constructor() {
    let due = performance.now() + TICK_MS;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#control.observe(now - due, now);
      due = now + TICK_MS;
    }, TICK_MS);
    this.#timer.unref();
  }

  /** The part of the requests that is let in, from 0 to 1. */
  get part(): number {
    return this.#control.part;
  }

  /** Whether there is time for the next request; counts it where not. */
  admits(): boolean {
    const admitted = this.#control.admits();
    if (!admitted) this.shed++;
    return admitted;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

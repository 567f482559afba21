/** Lateness of the event loop above which, when it lasts, too much is let in; milliseconds. */
const TARGET_MS = 100;
/** How long it must last: a pause that ends by itself, or a quota of CPU time used up, is no overload. */
const WINDOW_MS = 500;
/** Of fewer requests in a window none is refused: it is something else that takes the time. */
const LEAST_REQUESTS = 100;
/** At most so much less, or a tenth and a bit more, is let in from one window to the next. */
const LEAST_FACTOR = 0.5;
const MORE_FACTOR = 1.1;
const MORE = 0.02;
/** So much is let in always: what it costs to refuse must never be all that is done. */
const LEAST_PART = 0.05;

/**
 * Decides what part of the requests is let in, by how late the event loop runs: the time that a request which comes now waits until it is
 * looked at. When the *least* lateness of a window is above the target, the queue stands and no longer drains (as CoDel tells a bad queue
 * from a burst, RFC 8289 §3.1); then less is let in by as much as it is too late, and again more step by step. Pure: time comes with `observe`.
 */
export class OverloadControl {
  #part = 1;
  #credit = 0;
  #windowEnds = WINDOW_MS;
  #least = Number.POSITIVE_INFINITY;
  #requests = 0;

  /** The part of the requests that is let in, from 0 to 1. */
  get part(): number {
    return this.#part;
  }

  /** A timer ran `lateMs` after its time; `now`: milliseconds that never step back. */
  observe(lateMs: number, now: number): void {
    this.#least = Math.min(this.#least, lateMs);
    if (now < this.#windowEnds) return;
    const least = this.#least;
    this.#windowEnds = now + WINDOW_MS;
    this.#least = Number.POSITIVE_INFINITY;
    const many = this.#requests >= LEAST_REQUESTS;
    this.#requests = 0;
    if (least > TARGET_MS && many) {
      this.#part = Math.max(LEAST_PART, this.#part * Math.max(LEAST_FACTOR, TARGET_MS / least));
    } else if (least < TARGET_MS / 2 || !many) {
      this.#part = Math.min(1, this.#part * MORE_FACTOR + MORE);
    }
  }

  /** Whether the next request is let in: the part that is, evenly spread. */
  admits(): boolean {
    this.#requests++;
    if (this.#part === 1) return true;
    this.#credit += this.#part;
    if (this.#credit < 1) return false;
    this.#credit--;
    return true;
  }
}

import { backoffMs } from './backoff.ts';
import { type Clock, systemClock } from './clock.ts';
import type { KubeMetrics } from './kube-metrics.ts';

const FIRST_RETRY_MS = 5;
const MOST_RETRY_MS = 1_000_000;

/**
 * Keys to work on, as client-go's workqueue: a key waits once however often it is added, never is with two workers, and
 * one that is added while a worker has it comes again when that one is done.
 */
export class WorkQueue {
  readonly #name: string;
  readonly #metrics: KubeMetrics;
  readonly #clock: Clock;
  /** Key to when it was added. */
  readonly #waiting = new Map<string, number>();
  readonly #active = new Map<string, number>();
  readonly #again = new Set<string>();
  readonly #later = new Map<string, { readonly at: number; readonly cancel: () => void }>();
  readonly #failures = new Map<string, number>();
  readonly #idle: ((key: string | null) => void)[] = [];
  #shut = false;

  constructor(name: string, metrics: KubeMetrics, clock: Clock = systemClock) {
    this.#name = name;
    this.#metrics = metrics;
    this.#clock = clock;
  }

  add(key: string): void {
    if (this.#shut || this.#waiting.has(key) || this.#again.has(key)) return;
    this.#metrics.queueAdds.inc({ name: this.#name });
    if (this.#active.has(key)) this.#again.add(key);
    else this.#enqueue(key);
  }

  /** Adds the key after a while; of several times asked for, the earliest counts. */
  addAfter(key: string, ms: number): void {
    const at = this.#clock.now() + ms;
    const planned = this.#later.get(key);
    if (this.#shut || (planned && planned.at <= at)) return;
    planned?.cancel();
    const cancel = this.#clock.after(ms, () => {
      this.#later.delete(key);
      this.add(key);
    });
    this.#later.set(key, { at, cancel });
  }

  /** Adds the key after a while that doubles each time, 5 ms to 1000 s, until `forget`; returns that while. */
  retry(key: string, atLeastMs = 0): number {
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    this.#metrics.queueRetries.inc({ name: this.#name });
    const waitMs = Math.max(atLeastMs, backoffMs(failures, FIRST_RETRY_MS, MOST_RETRY_MS));
    this.addAfter(key, waitMs);
    return waitMs;
  }

  /** The key has no failures any more. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key, which is the caller's until `done`; null: the queue is shut. */
  next(): Promise<string | null> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#hand();
    });
  }

  done(key: string): void {
    this.#metrics.workSeconds.observe({ name: this.#name }, this.#since(this.#active.get(key)));
    this.#active.delete(key);
    if (this.#again.delete(key)) this.#enqueue(key);
  }

  /** Hands out nothing more and forgets what waits. */
  shut(): void {
    this.#shut = true;
    for (const { cancel } of this.#later.values()) cancel();
    this.#later.clear();
    this.#waiting.clear();
    this.#again.clear();
    this.#hand();
  }

  #enqueue(key: string): void {
    this.#waiting.set(key, this.#clock.now());
    this.#hand();
  }

  #hand(): void {
    while (this.#idle.length > 0 && (this.#shut || this.#waiting.size > 0)) {
      const [key = null] = this.#waiting.keys();
      if (key !== null) {
        this.#metrics.queueSeconds.observe({ name: this.#name }, this.#since(this.#waiting.get(key)));
        this.#waiting.delete(key);
        this.#active.set(key, this.#clock.now());
      }
      this.#idle.shift()?.(key);
    }
    this.#metrics.queueDepth.set({ name: this.#name }, this.#waiting.size);
  }

  #since(time: number | undefined): number {
    return time === undefined ? 0 : (this.#clock.now() - time) / 1000;
  }
}

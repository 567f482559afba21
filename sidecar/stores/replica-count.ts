const BEATS = 4;

/**
 * How many processes share the store: the most that any of the last four heartbeats saw. A larger count is believed at once, a
 * smaller one only when it lasts, because after a restart of Redis the replicas come back one by one.
 */
export class ReplicaCount {
  readonly #seen: number[] = [1];

  get value(): number {
    return Math.max(...this.#seen);
  }

  seen(replicas: number): void {
    this.#seen.push(replicas);
    if (this.#seen.length > BEATS) this.#seen.shift();
  }
}

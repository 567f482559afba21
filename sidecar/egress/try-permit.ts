import { type CircuitBreaker, type Permit, REFUSED } from '../../policy/evaluate/circuit-breaker/circuit-breaker.ts';

/** What the circuit breaker of a broker, if it has one, makes of the tries of one request. Times: performance.now(). */
export class TryPermit {
  readonly #breaker: CircuitBreaker | null;
  #permit: Permit = REFUSED;

  constructor(breaker: CircuitBreaker | null) {
    this.#breaker = breaker;
  }

  /** Whether a try would be refused now. */
  isOpen(now: number): boolean {
    return this.#breaker?.state(now) === 'Open';
  }

  /** Lets a try begin, or does not. */
  admit(now: number): boolean {
    if (this.#breaker === null) return true;
    this.#permit = this.#breaker.admit(now);
    return this.#permit !== REFUSED;
  }

  /** How the try ended. */
  settle(failed: boolean): void {
    if (this.#permit !== REFUSED) this.#breaker?.settle(this.#permit, failed, performance.now());
    this.#permit = REFUSED;
  }

  /** It ended without saying anything about the broker. */
  cancel(): void {
    if (this.#permit !== REFUSED) this.#breaker?.cancel(this.#permit);
    this.#permit = REFUSED;
  }

  /** Seconds, for who was refused. */
  retryAfter(now: number): string {
    return String(Math.ceil((this.#breaker?.retryAfterMs(now) ?? 1) / 1_000));
  }
}

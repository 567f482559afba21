import type { CircuitBreakerConfig } from '../../policy/bundle/circuit-breaker.ts';
import { type BreakerState, CircuitBreaker } from '../../policy/evaluate/circuit-breaker/circuit-breaker.ts';

/** The circuit breakers of a sidecar, one for each port of its application. They outlive a change of policy. */
export class Breakers {
  readonly #byPort = new Map<number, CircuitBreaker>();
  #config: CircuitBreakerConfig | null = null;
  /** Of breakers that a policy took away. */
  #opensBefore = 0;

  /** Goes on under these numbers; null: forgets what was counted. */
  configure(config: CircuitBreakerConfig | null): void {
    this.#config = config;
    if (config === null) {
      this.#opensBefore = this.opens;
      this.#byPort.clear();
    } else for (const breaker of this.#byPort.values()) breaker.configure(config);
  }

  /** The breaker of the application's port; null where no policy has any. */
  of(port: number): CircuitBreaker | null {
    const known = this.#byPort.get(port);
    if (known !== undefined || this.#config === null) return known ?? null;
    const breaker = new CircuitBreaker(this.#config);
    this.#byPort.set(port, breaker);
    return breaker;
  }

  /** How often any opened since the start. */
  get opens(): number {
    let sum = this.#opensBefore;
    for (const { opens } of this.#byPort.values()) sum += opens;
    return sum;
  }

  /** The state of each by port. `now`: performance.now(). */
  states(now: number): ReadonlyMap<number, BreakerState> {
    return new Map([...this.#byPort].map(([port, breaker]) => [port, breaker.state(now)]));
  }
}

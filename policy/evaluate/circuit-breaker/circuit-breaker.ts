import type { CircuitBreakerConfig } from '../../bundle/circuit-breaker.ts';
import { OutcomeWindow } from './outcome-window.ts';

/** Closed lets everything through, HalfOpen some trials, Open nothing. */
export type BreakerState = 'Closed' | 'HalfOpen' | 'Open';

/**
 * What `admit` gives and `settle` takes back: the state's age in which a request was let through. An outcome counts only in the age
 * that it was made in, so that requests that were slow to fail say nothing about an application that is being tried anew.
 */
export type Permit = number;

/**
 * Milliseconds. Trials end when their clients want them to, who may send bodies as slowly as they like: those of a few must not keep it
 * from closing for all.
 */
const TRIAL_PATIENCE_MS = 1_000;

/** No permit: the breaker is open, or its trials are under way. */
export const REFUSED: Permit = 0;

/**
 * A circuit breaker over one application. `now`: milliseconds that never step back. Each permit is to be given back once, by
 * `settle` or `cancel`.
 *
 * Closed opens when the window holds `minimumRequests` outcomes or more, and `failureRatio` of them or more failed. Open
 * becomes HalfOpen at the first request after `openForMs`. HalfOpen lets `halfOpenRequests` through, and as many more after each
 * second (or `openForMs`, when that is less) in which they did not all end: when so many succeeded it closes with an empty window, at the
 * first failure it opens.
 */
export class CircuitBreaker {
  #config: CircuitBreakerConfig;
  #window: OutcomeWindow;
  #state: BreakerState = 'Closed';
  #age: Permit = 1;
  /** When the state began. */
  #since = 0;
  /** Since `#trialsSince`. */
  #trials = 0;
  #trialsSince = 0;
  #successes = 0;
  #opens = 0;

  constructor(config: CircuitBreakerConfig) {
    this.#config = config;
    this.#window = new OutcomeWindow(config.windowMs);
  }

  /** How often it opened. */
  get opens(): number {
    return this.#opens;
  }

  /** The state as a request at `now` would find it. */
  state(now: number): BreakerState {
    return this.#state === 'Open' && now - this.#since >= this.#config.openForMs ? 'HalfOpen' : this.#state;
  }

  /** Milliseconds until requests are let through again, at least 1; for whoever was refused at `now`. */
  retryAfterMs(now: number): number {
    return this.#state === 'Open' ? Math.max(1, this.#since + this.#config.openForMs - now) : 1;
  }

  /** Goes on under other numbers: what was counted in a window of the same length still counts. */
  configure(config: CircuitBreakerConfig): void {
    if (config.windowMs !== this.#config.windowMs) this.#window = new OutcomeWindow(config.windowMs);
    this.#config = config;
  }

  /** A permit for one request, or REFUSED. */
  admit(now: number): Permit {
    if (this.#state === 'Closed') return this.#age;
    const { openForMs, halfOpenRequests } = this.#config;
    if (this.#state === 'Open') {
      if (now - this.#since < openForMs) return REFUSED;
      this.#enter('HalfOpen', now);
    }
    if (this.#trials >= halfOpenRequests) {
      if (now - this.#trialsSince < Math.min(openForMs, TRIAL_PATIENCE_MS)) return REFUSED;
      this.#trials = 0;
      this.#trialsSince = now;
    }
    this.#trials++;
    return this.#age;
  }

  /** How the request ended that `permit` was given for. */
  settle(permit: Permit, failed: boolean, now: number): void {
    if (permit !== this.#age) return;
    const { failureRatio, minimumRequests, halfOpenRequests } = this.#config;
    if (this.#state === 'HalfOpen') {
      if (failed) this.#open(now);
      else if (++this.#successes >= halfOpenRequests) this.#enter('Closed', now);
      return;
    }
    const window = this.#window;
    window.add(failed, now);
    if (window.total >= minimumRequests && window.failures >= failureRatio * window.total) this.#open(now);
  }

  /** The request ended without saying anything about the application: its client left, or it never reached it. */
  cancel(permit: Permit): void {
    if (permit === this.#age && this.#trials > 0) this.#trials--;
  }

  #open(now: number): void {
    this.#opens++;
    this.#enter('Open', now);
  }

  #enter(state: BreakerState, now: number): void {
    this.#state = state;
    this.#since = now;
    this.#age++;
    this.#trials = 0;
    this.#trialsSince = now;
    this.#successes = 0;
    this.#window.clear();
  }
}

import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { CircuitBreakerConfig } from '../../bundle/circuit-breaker.ts';
import { CircuitBreaker, REFUSED } from './circuit-breaker.ts';

/** The same machine as its description reads: every outcome and every permit is kept, and looked at anew each time. */
class ReferenceBreaker {
  readonly #config: CircuitBreakerConfig;
  #life: 'Closed' | 'HalfOpen' | 'Open' = 'Closed';
  #began = 0;
  #outcomes: { readonly failed: boolean; readonly slot: number }[] = [];
  /** Of trials, those that are taken since then. */
  #places = 0;
  #placesSince = 0;
  /** Of the present life; each is out, or succeeded. */
  #permits = new Map<object, 'out' | 'succeeded'>();

  constructor(config: CircuitBreakerConfig) {
    this.#config = config;
  }

  get life(): string {
    return this.#life;
  }

  admit(now: number): object | null {
    const { openForMs, halfOpenRequests } = this.#config;
    if (this.#life === 'Open' && now - this.#began < openForMs) return null;
    if (this.#life === 'Open') this.#begin('HalfOpen', now);
    if (this.#life === 'HalfOpen') {
      if (this.#places >= halfOpenRequests && now - this.#placesSince < Math.min(1_000, openForMs)) return null;
      if (this.#places >= halfOpenRequests) [this.#places, this.#placesSince] = [0, now];
      this.#places++;
    }
    const permit = {};
    this.#permits.set(permit, 'out');
    return permit;
  }

  settle(permit: object, failed: boolean, now: number): void {
    if (!this.#permits.has(permit)) return;
    if (this.#life === 'Closed') {
      const slot = Math.floor((now * 10) / this.#config.windowMs);
      this.#permits.delete(permit);
      this.#outcomes.push({ failed, slot });
      const newest = Math.max(...this.#outcomes.map((outcome) => outcome.slot));
      const within = this.#outcomes.filter((outcome) => outcome.slot > newest - 10);
      const failures = within.filter((outcome) => outcome.failed).length;
      if (within.length >= this.#config.minimumRequests && failures / within.length >= this.#config.failureRatio) {
        this.#begin('Open', now);
      }
    } else if (failed) this.#begin('Open', now);
    else {
      this.#permits.set(permit, 'succeeded');
      const succeeded = [...this.#permits.values()].filter((state) => state === 'succeeded').length;
      if (succeeded === this.#config.halfOpenRequests) this.#begin('Closed', now);
    }
  }

  cancel(permit: object): void {
    if (this.#permits.delete(permit)) this.#places = Math.max(0, this.#places - 1);
  }

  #begin(life: 'Closed' | 'HalfOpen' | 'Open', now: number): void {
    this.#life = life;
    this.#began = now;
    this.#outcomes = [];
    this.#permits = new Map();
    [this.#places, this.#placesSince] = [0, now];
  }
}

const config = fc.record({
  failureRatio: fc.constantFrom(0.01, 0.25, 0.5, 1),
  minimumRequests: fc.integer({ min: 1, max: 8 }),
  windowMs: fc.constantFrom(100, 1_000),
  openForMs: fc.constantFrom(50, 400, 1_300),
  halfOpenRequests: fc.integer({ min: 1, max: 4 }),
});
const step = fc.record({
  wait: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 1_500 })),
  act: fc.constantFrom('begin', 'begin', 'begin', 'succeed', 'succeed', 'fail', 'fail', 'leave'),
  /** Which of those under way, the newest most of all. */
  which: fc.oneof(fc.constant(0), fc.nat()),
});

it('the breaker does what its description says, over random requests', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(config, fc.array(step, { maxLength: 120, size: 'max' }), (numbers, steps) => {
      const breaker = new CircuitBreaker(numbers);
      const reference = new ReferenceBreaker(numbers);
      const underWay: [number, object][] = [];
      let now = 0;
      for (const { wait, act, which } of steps) {
        now += wait;
        const before = reference.life;
        if (act === 'begin') {
          const [permit, twin] = [breaker.admit(now), reference.admit(now)];
          assert.equal(permit === REFUSED, twin === null);
          if (twin !== null) underWay.push([permit, twin]);
        } else if (underWay.length > 0) {
          const [[permit, twin]] = underWay.splice(-1 - (which % underWay.length), 1) as [[number, object]];
          if (act === 'leave') {
            breaker.cancel(permit);
            reference.cancel(twin);
          } else {
            breaker.settle(permit, act === 'fail', now);
            reference.settle(twin, act === 'fail', now);
          }
        }
        if (before !== reference.life) seen.add(`${before} ${reference.life}`);
        const due = reference.life === 'Open' && breaker.state(now) === 'HalfOpen';
        assert.ok(due || breaker.state(now) === reference.life, `${breaker.state(now)}, not ${reference.life}`);
      }
    }),
    { numRuns: Number(process.env['FC_RUNS'] ?? 2_000) },
  );
  assert.deepEqual([...seen].sort(), ['Closed Open', 'HalfOpen Closed', 'HalfOpen Open', 'Open HalfOpen']);
});

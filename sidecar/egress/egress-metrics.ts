import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { BreakerState } from '../../policy/evaluate/circuit-breaker/circuit-breaker.ts';

const STATES: Readonly<Record<BreakerState, number>> = { Closed: 0, HalfOpen: 1, Open: 2 };

/** Why a request was tried again. */
export type RetryLabel = '429' | '5xx' | 'connect' | 'stale';

/** What is counted of egress, by the policy's name of the broker. */
export class EgressMetrics {
  readonly #requests: Counter<'broker' | 'code'>;
  readonly #retries: Counter<'broker' | 'reason'>;
  readonly #throttled: Counter<'broker'>;
  readonly #duration: Histogram<'broker'>;
  /** Read when somebody scrapes. */
  breakerStates: () => ReadonlyMap<string, BreakerState> = () => new Map();

  constructor(registry: Registry) {
    const registers = [registry];
    const states = (): ReadonlyMap<string, BreakerState> => this.breakerStates();
    new Gauge({
      name: 'portcullis_egress_circuit_breaker_state',
      help: '0: closed, 1: half open, 2: open; by broker.',
      labelNames: ['broker'],
      registers,
      collect() {
        this.reset();
        for (const [broker, state] of states()) this.set({ broker }, STATES[state]);
      },
    });
    this.#requests = new Counter({
      name: 'portcullis_egress_requests_total',
      help: 'Requests of the application to a broker, by the status it was answered with; 499: it left first.',
      labelNames: ['broker', 'code'],
      registers,
    });
    this.#retries = new Counter({
      name: 'portcullis_egress_retries_total',
      help: 'Requests to a broker that were tried again, by reason; stale: a kept connection turned out to be closed.',
      labelNames: ['broker', 'reason'],
      registers,
    });
    this.#throttled = new Counter({
      name: 'portcullis_egress_throttled_total',
      help: 'Requests to a broker above its rate, whether they could wait for their turn or not.',
      labelNames: ['broker'],
      registers,
    });
    this.#duration = new Histogram({
      name: 'portcullis_egress_request_duration_seconds',
      help: 'From the request head to the end of the answer, waits and tries included.',
      labelNames: ['broker'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    });
  }

  answered(broker: string, status: number, seconds: number): void {
    this.#requests.inc({ broker, code: String(status) });
    this.#duration.observe({ broker }, seconds);
  }

  retried(broker: string, reason: RetryLabel): void {
    this.#retries.inc({ broker, reason });
  }

  throttled(broker: string): void {
    this.#throttled.inc({ broker });
  }
}

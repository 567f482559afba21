import { Counter, Gauge, type Registry } from 'prom-client';
import type { BreakerState } from '../../policy/evaluate/circuit-breaker/circuit-breaker.ts';
import type { TunnelEnd } from '../engine/tunnel.ts';

/** What is read when somebody scrapes. */
export interface ConnectionSources {
  /** Client connections open. */
  readonly connections: () => number;
  /** Connections closed because a cap was reached, since the start. */
  readonly closedAtCap: () => { readonly per_pod: number; readonly per_address: number; readonly spared: number };
  /** Requests refused because the sidecar had too much to do, since the start. */
  readonly shed: () => number;
  /** By the application's port. */
  readonly breakers: () => ReadonlyMap<number, BreakerState>;
  readonly breakerOpens: () => number;
}

const STATES: Readonly<Record<BreakerState, number>> = { Closed: 0, HalfOpen: 1, Open: 2 };

/** The metrics of connections, WebSockets, shedding and the circuit breaker. */
export class ConnectionMetrics {
  readonly #websocketsEnded: Counter<'reason'>;

  constructor(registry: Registry, sources: ConnectionSources) {
    const registers = [registry];
    new Gauge({
      name: 'portcullis_connections',
      help: 'Client connections open, WebSockets included.',
      registers,
      collect() {
        this.set(sources.connections());
      },
    });
    new Counter({
      name: 'portcullis_connections_closed_total',
      help: 'Client connections closed at a cap: as they came (per_pod, per_address), or to make room for another (spared).',
      labelNames: ['reason'],
      registers,
      collect() {
        this.reset();
        for (const [reason, count] of Object.entries(sources.closedAtCap())) this.inc({ reason }, count);
      },
    });
    new Counter({
      name: 'portcullis_requests_shed_total',
      help: 'Requests answered 503 overloaded because the sidecar had more to do than it can.',
      registers,
      collect() {
        this.reset();
        this.inc(sources.shed());
      },
    });
    new Gauge({
      name: 'portcullis_circuit_breaker_state',
      help: "State of the circuit breaker by the application's port: 0 closed, 1 half open, 2 open.",
      labelNames: ['port'],
      registers,
      collect() {
        this.reset();
        for (const [port, state] of sources.breakers()) this.set({ port: String(port) }, STATES[state]);
      },
    });
    new Counter({
      name: 'portcullis_circuit_breaker_opens_total',
      help: 'How often a circuit breaker opened.',
      registers,
      collect() {
        this.reset();
        this.inc(sources.breakerOpens());
      },
    });
    this.#websocketsEnded = new Counter({
      name: 'portcullis_websockets_ended_total',
      help: 'WebSockets that the sidecar closed, by reason (too_many_messages, message_too_big, no_longer_allowed, idle, draining).',
      labelNames: ['reason'],
      registers,
    });
  }

  websocketEnded(reason: TunnelEnd): void {
    this.#websocketsEnded.inc({ reason });
  }
}

import type { CoarseClock } from './coarse-clock.ts';
import { type ConnectionOwner, UpstreamConnection, type UpstreamTimeouts } from './upstream-connection.ts';

const SWEEP_MS = 100;

/** Keep-alive connections to the one application behind this sidecar: the most recently used is used first. */
export class UpstreamPool implements ConnectionOwner {
  readonly #host: string;
  readonly #port: number;
  readonly #clock: CoarseClock;
  readonly #timeouts: () => UpstreamTimeouts;
  readonly #all = new Set<UpstreamConnection>();
  readonly #idle: UpstreamConnection[] = [];
  readonly #sweep: NodeJS.Timeout;

  /** `timeouts` is asked at each sweep, so that a new policy's time-outs hold for requests already under way. */
  constructor(host: string, port: number, clock: CoarseClock, timeouts: () => UpstreamTimeouts) {
    this.#host = host;
    this.#port = port;
    this.#clock = clock;
    this.#timeouts = timeouts;
    this.#sweep = setInterval(() => this.#enforceTimeouts(), SWEEP_MS);
    this.#sweep.unref();
  }

  /** Connections open to the application, busy or idle. */
  get size(): number {
    return this.#all.size;
  }

  /** An idle connection, or a new one that is still connecting. `fresh` forbids reuse. */
  acquire(fresh = false): UpstreamConnection {
    const idle = fresh ? undefined : this.#idle.pop();
    if (idle !== undefined) return idle;
    const connection = new UpstreamConnection(this.#host, this.#port, this, this.#clock);
    this.#all.add(connection);
    return connection;
  }

  onIdle(connection: UpstreamConnection): void {
    this.#idle.push(connection);
  }

  onClosed(connection: UpstreamConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** Ends every connection, busy ones included. */
  close(): void {
    clearInterval(this.#sweep);
    for (const connection of [...this.#all]) connection.destroy();
  }

  #enforceTimeouts(): void {
    const timeouts = this.#timeouts();
    const now = this.#clock.now;
    for (const connection of this.#all) connection.enforceTimeouts(now, timeouts);
  }
}

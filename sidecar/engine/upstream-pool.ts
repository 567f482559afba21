import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { JOIN_BYTES } from './answer-writer.ts';
import type { CoarseClock } from './coarse-clock.ts';
import { type ConnectionOwner, UpstreamConnection, type UpstreamTimeouts } from './upstream-connection.ts';

/**
 * Filled by every read of every kept connection, so that a read allocates nothing. What must outlive its read is copied: large
 * pieces here, up to JOIN_BYTES by whoever writes or keeps them.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
const SWEEP_MS = 100;

/** Keep-alive connections to the one application behind this sidecar: the most recently used is used first. */
export class UpstreamPool implements ConnectionOwner {
  readonly #target: TcpNetConnectOpts;
  readonly #clock: CoarseClock;
  readonly #timeouts: () => UpstreamTimeouts;
  readonly #all = new Set<UpstreamConnection>();
  readonly #idle: UpstreamConnection[] = [];
  readonly #sweep: NodeJS.Timeout;

  /** `timeouts` is asked at each sweep, so that a new policy's time-outs hold for requests already under way. */
  constructor(host: string, port: number, clock: CoarseClock, timeouts: () => UpstreamTimeouts) {
    this.#target = { host, port, noDelay: true, keepAlive: true, autoSelectFamily: false };
    this.#clock = clock;
    this.#timeouts = timeouts;
    this.#sweep = setInterval(() => this.#enforceTimeouts(), SWEEP_MS);
    this.#sweep.unref();
  }

  /** An idle connection, or a new one that is still connecting. `fresh` forbids reuse. */
  acquire(fresh = false): UpstreamConnection {
    const idle = fresh ? undefined : this.#idle.pop();
    if (idle !== undefined) return idle;
    const socket = connect({
      ...this.#target,
      onread: {
        buffer: READ_BUFFER,
        callback: (length) => {
          const data = READ_BUFFER.subarray(0, length);
          connection.receive(length > JOIN_BYTES ? Buffer.from(data) : data);
          return true;
        },
      },
    });
    const connection = this.#own(socket);
    return connection;
  }

  /** A new connection for a request that may become a tunnel: its socket can be handed over. */
  acquireForUpgrade(): UpstreamConnection {
    const socket = connect(this.#target);
    const connection = this.#own(socket);
    socket.on('data', (data: Buffer) => connection.receive(data));
    return connection;
  }

  #own(socket: Socket): UpstreamConnection {
    const connection = new UpstreamConnection(socket, this, this.#clock);
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

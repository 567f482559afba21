import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { HostPort } from '../../runtime/sidecar-arguments.ts';
import type { FilterFault } from '../pipeline/run-pipeline.ts';
import { BodyBudget } from './body-collector.ts';
import { buildExchange } from './build-exchange.ts';
import type { CheckedHead } from './check-head.ts';
import { ClientConnection } from './client-connection.ts';
import type { RequestHandler } from './client-request.ts';
import { type CoarseClock, startCoarseClock } from './coarse-clock.ts';
import type { EngineContext, Pipeline } from './engine-context.ts';
import type { Cause } from './rescue.ts';
import { Transaction } from './transaction.ts';
import type { Tunnel } from './tunnel.ts';
import { DEFAULT_UPSTREAM_TIMEOUTS } from './upstream-connection.ts';
import { UpstreamPool } from './upstream-pool.ts';

const SWEEP_MS = 500;
const STOP_POLL_MS = 10;
const BACKLOG = 4096;
/** Bodies that filters look at as a whole, all together. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** How long an application may take over the rest of a WebSocket frame while we drain. */
const HALF_FRAME_MS = 5_000;

/** What the engine needs from its owner. Times in milliseconds. */
export interface EngineOptions {
  readonly upstream: HostPort;
  /** Makes a request id; see request-ids.ts. */
  readonly nextRequestId: () => string;
  readonly onFilterFault: FilterFault;
  /** HTTP that was refused before it became an exchange: counted and logged by the owner. */
  readonly onProtocolRefusal: (cause: Cause, peer: string, requestId: string) => void;
}

/**
 * The public port: our own strict HTTP/1.1 on sockets, in and out. (docs/adr/0002 says why not node:http, which repairs what must be
 * refused, and what each costs.)
 */
export class Engine implements RequestHandler {
  readonly nextRequestId: () => string;
  readonly onProtocolRefusal: (cause: Cause, peer: string, requestId: string) => void;
  readonly #server: Server;
  readonly #clock: CoarseClock = startCoarseClock();
  readonly #connections = new Set<ClientConnection>();
  readonly #context: EngineContext;
  readonly #sweep: NodeJS.Timeout;
  #pipeline: Pipeline | null = null;

  constructor(options: EngineOptions) {
    this.nextRequestId = options.nextRequestId;
    this.onProtocolRefusal = options.onProtocolRefusal;
    const { host, port } = options.upstream;
    this.#context = {
      upstreams: new UpstreamPool(host, port, this.#clock, () => this.#pipeline?.timeouts ?? DEFAULT_UPSTREAM_TIMEOUTS),
      onFilterFault: options.onFilterFault,
      tunnels: new Set<Tunnel>(),
      bodies: new BodyBudget(MAX_BODY_BYTES),
      draining: false,
    };
    // A client that ends its side has left; half-open connections are for those who want to hold us.
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket: Socket) => {
      this.#connections.add(new ClientConnection(socket, this, this.#clock));
    });
    this.#sweep = setInterval(() => {
      const now = this.#clock.now;
      for (const connection of this.#connections) connection.enforceTimeouts(now);
    }, SWEEP_MS);
    this.#sweep.unref();
  }

  /** Requests that begin from now on run through this pipeline; those under way keep theirs. */
  use(pipeline: Pipeline): void {
    this.#pipeline = pipeline;
  }

  /** Open WebSockets. */
  get tunnels(): number {
    return this.#context.tunnels.size;
  }

  /** Rejects with the system's error when the address cannot be had; may then be tried again. */
  async listen(host: string, port: number): Promise<AddressInfo> {
    // Without a host Node takes 0.0.0.0 where the kernel has no IPv6.
    this.#server.listen({ ...(host !== '::' && { host }), port, backlog: BACKLOG });
    await once(this.#server, 'listening');
    this.#server.on('error', () => {}); // one connection that could not be accepted is no reason to stop
    return this.#server.address() as AddressInfo;
  }

  /**
   * Answers `Connection: close` from now on and sends WebSockets away one by one, evenly over `overMs`, because they all dial again at
   * once; new connections are still taken.
   */
  startDraining(overMs: number): void {
    this.#context.draining = true;
    const tunnels = [...this.#context.tunnels];
    for (const [index, tunnel] of tunnels.entries()) {
      setTimeout(() => tunnel.goAway(HALF_FRAME_MS), ((index + 0.5) * overMs) / tunnels.length).unref();
    }
  }

  /** Stops listening, waits for requests under way up to `graceMs`, then ends what is left. */
  async stop(graceMs: number): Promise<void> {
    this.#context.draining = true;
    this.#server.close();
    for (const tunnel of this.#context.tunnels) tunnel.goAway(graceMs);
    for (const connection of this.#connections) connection.closeWhenIdle();
    const deadline = performance.now() + graceMs;
    while (this.#connections.size + this.tunnels > 0 && performance.now() < deadline) await delay(STOP_POLL_MS);
    for (const connection of this.#connections) connection.destroy();
    for (const tunnel of this.#context.tunnels) tunnel.destroy();
    while (this.tunnels > 0) await delay(STOP_POLL_MS); // until each has closed, and has been counted and logged
    this.#context.upstreams.close();
    clearInterval(this.#sweep);
    this.#clock.stop();
  }

  onClosed(connection: ClientConnection): void {
    this.#connections.delete(connection);
  }

  onRequest(client: ClientConnection, head: CheckedHead): void {
    const startedAt = performance.now();
    const pipeline = this.#pipeline;
    if (pipeline === null) {
      client.refuse('policy_not_loaded');
      return;
    }
    const exchange = buildExchange(head, client.peer, pipeline, this.nextRequestId, {
      receivedAt: Date.now(),
      startedAt,
    });
    if (typeof exchange === 'string') client.refuse(exchange);
    else new Transaction(this.#context, pipeline, client, head, exchange).run();
  }
}

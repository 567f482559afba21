import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { normalizePath } from '../../policy/evaluate/normalize-path.ts';
import { splitTarget } from '../../policy/evaluate/split-target.ts';
import { Exchange } from '../pipeline/exchange.ts';
import type { FilterFault } from '../pipeline/run-pipeline.ts';
import type { CheckedHead } from './check-head.ts';
import { ClientConnection } from './client-connection.ts';
import type { RequestHandler } from './client-request.ts';
import { type CoarseClock, startCoarseClock } from './coarse-clock.ts';
import type { EngineContext, Pipeline } from './engine-context.ts';
import { isRequestId } from './request-ids.ts';
import type { Cause } from './rescue.ts';
import { Transaction } from './transaction.ts';
import type { Tunnel } from './tunnel.ts';
import { DEFAULT_UPSTREAM_TIMEOUTS } from './upstream-connection.ts';
import { UpstreamPool } from './upstream-pool.ts';

const SWEEP_MS = 500;
const STOP_POLL_MS = 10;
const BACKLOG = 4096;

/** What the engine needs from its owner. Times in milliseconds. */
export interface EngineOptions {
  readonly upstream: { readonly host: string; readonly port: number };
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

  /** Rejects with the system's error when the address cannot be had. */
  listen(host: string, port: number): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog: BACKLOG }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', () => {}); // one connection that could not be accepted is no reason to stop
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** Answers `Connection: close` from now on and sends WebSockets away one by one; new connections are still taken. */
  startDraining(paceMs = 20): void {
    this.#context.draining = true;
    let afterMs = 0;
    for (const tunnel of this.#context.tunnels) {
      setTimeout(() => tunnel.goAway(5_000), afterMs).unref();
      afterMs += paceMs;
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
    const target = splitTarget(head.target);
    const path = target === null ? null : normalizePath(target.path, pipeline.pathMatching);
    if (target === null || path === null || typeof path !== 'string') {
      client.refuse(target === null ? 'bad_target' : 'bad_path');
      return;
    }
    const { clientAddress } = pipeline;
    const trusted = head.requestId !== '' && clientAddress.trusts(client.peer) && isRequestId(head.requestId);
    const exchange = new Exchange(
      trusted ? head.requestId : this.nextRequestId(),
      head.method,
      path,
      target.query,
      head.host,
      head.authority,
      head.headers,
      clientAddress.of(client.peer, head.forwardedFor),
      head.websocketKey !== '',
      Date.now(),
      startedAt,
    );
    new Transaction(this.#context, pipeline, client, head, exchange).run();
  }
}

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { DEFAULT_CONNECTIONS } from '../../policy/bundle/connections.ts';
import type { HostPort } from '../../runtime/sidecar-arguments.ts';
import type { FilterFault } from '../pipeline/run-pipeline.ts';
import { applicationAt } from './application-client.ts';
import { BodyBudget } from './body-collector.ts';
import { buildExchange } from './build-exchange.ts';
import type { CheckedHead } from './check-head.ts';
import { plainAddress } from './client-address.ts';
import { ClientConnection } from './client-connection.ts';
import type { RequestHandler } from './client-request.ts';
import { type CoarseClock, startCoarseClock } from './coarse-clock.ts';
import { ConnectionTable, capsOf } from './connection-table.ts';
import type { EngineContext, Pipeline } from './engine-context.ts';
import type { Cause } from './rescue.ts';
import { type CertificatePair, TlsListener, type TlsListening } from './tls-listener.ts';
import { Transaction } from './transaction.ts';
import type { Tunnel, TunnelEnd } from './tunnel.ts';
import { DEFAULT_UPSTREAM_TIMEOUTS } from './upstream-connection.ts';
import { UpstreamPool } from './upstream-pool.ts';

const SWEEP_MS = 500;
const STOP_POLL_MS = 10;
/**
 * Connections that wait to be accepted. Under load libuv takes one each turn of the loop, oldest first: of a longer queue only those would be
 * served whose clients have given up. What finds it full is asked to come again by the kernel.
 */
const BACKLOG = 512;
/** Bodies that filters look at as a whole, all together. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** What holds for connections before any policy does. */
const NO_POLICY = { clientAddress: null, connections: { config: DEFAULT_CONNECTIONS, shadow: false } };

/** What the engine needs from its owner. Times in milliseconds. */
export interface EngineOptions {
  readonly upstream: HostPort;
  /** Makes a request id; see request-ids.ts. */
  readonly nextRequestId: () => string;
  readonly onFilterFault: FilterFault;
  /** HTTP that was refused before it became an exchange: counted and logged by the owner. */
  readonly onProtocolRefusal: (cause: Cause, peer: string, requestId: string) => void;
  /** Where connections are counted, with those of other ports; default: a table of its own. */
  readonly connections?: ConnectionTable;
  /** We ended a WebSocket. */
  readonly onTunnelEnd?: (why: TunnelEnd) => void;
  /** Absent: clients speak plain HTTP. */
  readonly tls?: TlsListening;
}

/**
 * The public port: our own strict HTTP/1.1 on sockets, in and out. (docs/adr/0002 says why not node:http, which repairs what must be
 * refused, and what each costs.)
 */
export class Engine implements RequestHandler {
  readonly nextRequestId: () => string;
  readonly onProtocolRefusal: (cause: Cause, peer: string, requestId: string) => void;
  readonly #server: Server;
  readonly #tls: TlsListener | null;
  readonly #clock: CoarseClock = startCoarseClock();
  readonly #connections = new Set<ClientConnection>();
  readonly #context: EngineContext;
  readonly #upstreamPort: number;
  readonly #table: ConnectionTable;
  readonly #sweep: NodeJS.Timeout;
  #pipeline: Pipeline | null = null;

  constructor(options: EngineOptions) {
    this.nextRequestId = options.nextRequestId;
    this.onProtocolRefusal = options.onProtocolRefusal;
    const { host, port } = options.upstream;
    this.#upstreamPort = port;
    this.#table = options.connections ?? new ConnectionTable();
    this.#context = {
      upstreams: new UpstreamPool(host, port, this.#clock, () => this.#pipeline?.timeouts ?? DEFAULT_UPSTREAM_TIMEOUTS),
      application: applicationAt(options.upstream, () => this.#pipeline?.timeouts ?? DEFAULT_UPSTREAM_TIMEOUTS),
      onFilterFault: options.onFilterFault,
      clock: this.#clock,
      tunnels: new Set<Tunnel>(),
      onTunnelEnd: options.onTunnelEnd ?? (() => {}),
      bodies: new BodyBudget(MAX_BODY_BYTES),
      draining: false,
    };
    // A client that ends its side has left; half-open connections are for those who want to hold us.
    const listening = { noDelay: true, allowHalfOpen: true };
    const onSecure = (socket: Socket, tcp: Socket) => this.#begin(socket, tcp);
    this.#tls = options.tls === undefined ? null : new TlsListener(listening, options.tls, onSecure);
    // In the middle of a TLS handshake, whoever ends one side has left.
    this.#server = createServer({ ...listening, allowHalfOpen: this.#tls === null }, (tcp: Socket) => {
      if (!this.#admits(tcp)) return;
      if (this.#tls === null) this.#begin(tcp, tcp);
      else this.#tls.begin(tcp);
    });
    this.#sweep = setInterval(() => {
      const now = this.#clock.now;
      for (const connection of this.#connections) connection.enforceTimeouts(now);
      const epochMs = Date.now();
      for (const tunnel of this.#context.tunnels) tunnel.check(epochMs);
    }, SWEEP_MS);
    this.#sweep.unref();
  }

  #admits(tcp: Socket): boolean {
    const { clientAddress, connections } = this.#pipeline ?? NO_POLICY;
    const proxy = clientAddress?.trusts(plainAddress(tcp.remoteAddress)) === true;
    return this.#table.admit(tcp, proxy, capsOf(connections), this.#clock.now);
  }

  #begin(socket: Socket, tcp: Socket): void {
    const connection = new ClientConnection(socket, this, this.#clock);
    this.#connections.add(connection);
    this.#table.attach(tcp, connection);
  }

  /** Requests that begin from now on run through this pipeline; those under way keep theirs. */
  use(pipeline: Pipeline): void {
    this.#pipeline = pipeline;
  }

  /** With TLS: handshakes from now on show this certificate. Throws OpenSSL's error. */
  useCertificate(pair: CertificatePair): void {
    this.#tls?.use(pair);
  }

  /** Open client connections, with those of other ports that share a table. */
  get connections(): number {
    return this.#table.size;
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
      setTimeout(() => tunnel.end('draining'), ((index + 0.5) * overMs) / tunnels.length).unref();
    }
  }

  /** Stops listening, waits for requests under way up to `graceMs`, then ends what is left. */
  async stop(graceMs: number): Promise<void> {
    this.#context.draining = true;
    this.#server.close();
    for (const tunnel of this.#context.tunnels) tunnel.end('draining', graceMs);
    for (const connection of this.#connections) connection.closeWhenIdle();
    const deadline = performance.now() + graceMs;
    while (this.#connections.size + this.tunnels > 0 && performance.now() < deadline) await delay(STOP_POLL_MS);
    for (const connection of this.#connections) connection.destroy();
    for (const tunnel of this.#context.tunnels) tunnel.destroy();
    this.#tls?.cut();
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
    if (typeof exchange === 'string') {
      client.refuse(exchange);
      return;
    }
    exchange.upstreamPort = this.#upstreamPort;
    new Transaction(this.#context, pipeline, client, head, exchange).run();
  }
}

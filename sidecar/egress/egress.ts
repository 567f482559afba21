import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type BreakerState, CircuitBreaker } from '../../policy/evaluate/circuit-breaker/circuit-breaker.ts';
import { DEFAULT_PATH_MATCHING, normalizePath } from '../../policy/evaluate/normalize-path.ts';
import { splitTarget } from '../../policy/evaluate/split-target.ts';
import type { HostPort } from '../../runtime/sidecar-arguments.ts';
import type { CheckedHead } from '../engine/check-head.ts';
import { ClientConnection } from '../engine/client-connection.ts';
import type { RequestHandler } from '../engine/client-request.ts';
import { type CoarseClock, startCoarseClock } from '../engine/coarse-clock.ts';
import type { Cause } from '../engine/rescue.ts';
import type { AllowedAddressesOptions } from '../outbound/allowed-addresses.ts';
import type { Denial } from '../pipeline/filter.ts';
import { BrokerConnections, type BrokerTarget } from './broker-connections.ts';
import type { BrokerRequest, EgressRequestContext } from './broker-request.ts';
import type { CompiledEgress } from './compile-brokers.ts';
import type { EgressMetrics } from './egress-metrics.ts';
import { EgressRequest } from './egress-request.ts';

const SWEEP_MS = 100;
const RETRY_LISTEN_MS = 1_000;
const STOP_POLL_MS = 10;
/** The application is one process: more at once is a mistake of its own. */
const MOST_CONNECTIONS = 1_024;
/** What may be called by name here: a page that a name server leads to the loopback says another Host. */
const OWN_HOSTS: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** What egress needs from its owner. */
export interface EgressOptions {
  /** On the loopback: whoever connects is in the pod. */
  readonly listen: HostPort;
  readonly log: Logger;
  readonly metrics: EgressMetrics;
  readonly nextRequestId: () => string;
  readonly onProtocolRefusal: RequestHandler['onProtocolRefusal'];
  readonly onShadowDenial: (denial: Denial) => void;
  /** Default: the system's resolver. */
  readonly resolve?: AllowedAddressesOptions['resolve'];
}

/** Where the application asks brokers through its sidecar: listens while some policy has egress, and only on the loopback. */
export class Egress implements RequestHandler {
  readonly #options: EgressOptions;
  readonly #clients = new Set<ClientConnection>();
  readonly #brokers = new Map<string, BrokerConnections>();
  readonly #retired = new Set<BrokerConnections>();
  readonly #breakers = new Map<string, CircuitBreaker>();
  #policy: CompiledEgress | null = null;
  #server: Server | null = null;
  #clock: CoarseClock | null = null;
  #sweep: NodeJS.Timeout | null = null;
  #listenError: NodeJS.ErrnoException | null = null;
  #retry: Promise<void> | null = null;
  #started = false;
  #stopped = false;

  constructor(options: EgressOptions) {
    this.#options = options;
    options.metrics.breakerStates = () => this.breakerStates(performance.now());
  }

  /** Why it does not listen although a policy has egress; null: nothing is wrong. */
  get problem(): string | null {
    return this.#listenError === null ? null : whyNotListening(this.#options.listen, this.#listenError);
  }

  /** The port it listens on; null: it does not. */
  get port(): number | null {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address.port : null;
  }

  /** Requests that begin from now on are decided by this; null: there is nothing to ask. */
  use(policy: CompiledEgress | null): void {
    this.#policy = policy;
    const wanted = new Map([...(policy?.byName.values() ?? [])].map(({ target }) => [keyOf(target), target]));
    for (const [key, connections] of this.#brokers) {
      if (wanted.has(key)) continue;
      this.#brokers.delete(key);
      this.#retired.add(connections);
    }
    this.#useBreakers(policy);
    if (policy === null) this.#close();
    else {
      this.#clock ??= startCoarseClock();
      this.#sweep ??= setInterval(() => this.#enforceTimeouts(), SWEEP_MS).unref();
      for (const [key, target] of wanted) {
        if (!this.#brokers.has(key))
          this.#brokers.set(key, new BrokerConnections(target, this.#clock, this.#options.resolve));
      }
      void this.#listen();
    }
  }

  /** They outlive a change of policy: what failed is not better for it. */
  #useBreakers(policy: CompiledEgress | null): void {
    for (const name of this.#breakers.keys()) {
      if (!policy?.byName.get(name)?.circuitBreaker) this.#breakers.delete(name);
    }
    for (const { name, circuitBreaker } of policy?.byName.values() ?? []) {
      if (circuitBreaker === null) continue;
      const known = this.#breakers.get(name);
      if (known === undefined) this.#breakers.set(name, new CircuitBreaker(circuitBreaker));
      else known.configure(circuitBreaker);
    }
  }

  /** The state of each circuit breaker by its broker. `now`: performance.now(). */
  breakerStates(now: number): ReadonlyMap<string, BreakerState> {
    return new Map([...this.#breakers].map(([name, breaker]) => [name, breaker.state(now)]));
  }

  /**
   * From now on listens while some policy has egress; resolves after the first try. `forEver`: tries again where the address cannot be
   * had, `problem` says why; else rejects with the system's error.
   */
  async start(forEver: boolean): Promise<void> {
    this.#started = true;
    await this.#listen();
    if (!forEver && this.#listenError !== null) throw this.#listenError;
  }

  async #listen(): Promise<void> {
    if (this.#policy === null || this.#server !== null || !this.#started || this.#stopped) return;
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
    server.maxConnections = MOST_CONNECTIONS;
    this.#server = server;
    const { host, port } = this.#options.listen;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port }, resolve);
      });
      server.on('error', () => {}); // one connection that could not be accepted is no reason to stop
      this.#listenError = null;
      this.#options.log.info({ address: server.address() }, 'egress listening');
    } catch (error) {
      this.#server = null;
      this.#cannotListen(error as NodeJS.ErrnoException);
      // One chain of tries, however many policies come meanwhile.
      this.#retry ??= delay(RETRY_LISTEN_MS, undefined, { ref: false }).then(() => {
        this.#retry = null;
        return this.#listen();
      });
    }
  }

  /** Stops listening, waits for requests under way up to `graceMs`, then ends what is left. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#close();
    const deadline = performance.now() + graceMs;
    while (this.#clients.size > 0 && performance.now() < deadline) await delay(STOP_POLL_MS);
    for (const client of this.#clients) client.destroy();
    for (const connections of [...this.#brokers.values(), ...this.#retired]) connections.close();
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#clock?.stop();
  }

  // ---- one request ---------------------------------------------------------------------------------------------------

  nextRequestId(): string {
    return this.#options.nextRequestId();
  }

  onProtocolRefusal(cause: Cause, peer: string, requestId: string): void {
    // Well-formed HTTP that leads nowhere.
    if (cause === 'egress_unknown') this.#options.log.info({ code: cause, requestId }, 'egress request');
    else this.#options.onProtocolRefusal(cause, peer, requestId);
  }

  onClosed(client: ClientConnection): void {
    this.#clients.delete(client);
  }

  onRequest(client: ClientConnection, head: CheckedHead): void {
    const policy = this.#policy;
    const found = policy === null ? 'egress_unknown' : this.#find(policy, head);
    if (policy === null || typeof found === 'string') {
      client.refuse(found as Cause);
      return;
    }
    const { broker, path } = found;
    const request = new EgressRequest(this.#contextOf(policy), client, found);
    if (head.websocketKey !== '') request.refuse('egress_websocket');
    else if (broker.allows(head.method, path)) request.run();
    else if (policy.shadow) {
      this.#options.onShadowDenial(broker.notAllowed);
      request.run();
    } else request.refuse(broker.notAllowed.code);
  }

  /** The broker of a request, with what is asked of it; or why there is none. */
  #find({ byName }: CompiledEgress, head: CheckedHead): BrokerRequest | Cause {
    if (!OWN_HOSTS.has(head.host)) return 'bad_host';
    const target = splitTarget(head.target);
    if (target === null) return 'bad_target';
    const whole = normalizePath(target.path, DEFAULT_PATH_MATCHING);
    if (typeof whole !== 'string') return 'bad_path';
    const slash = whole.indexOf('/', 1);
    const broker = byName.get(whole.slice(1, slash < 0 ? undefined : slash));
    const connections = broker && this.#brokers.get(keyOf(broker.target));
    if (broker === undefined || connections === undefined) return 'egress_unknown';
    const path = slash < 0 ? '/' : whole.slice(slash);
    const startedAt = performance.now();
    const breaker = this.#breakers.get(broker.name) ?? null;
    return { id: this.nextRequestId(), startedAt, broker, connections, breaker, head, path, query: target.query };
  }

  #contextOf({ limiter, shadow }: CompiledEgress): EgressRequestContext {
    const { log, metrics, onShadowDenial } = this.#options;
    return {
      limiter,
      shadow,
      now: Date.now,
      random: Math.random,
      onThrottled: ({ name, overRate }) => {
        metrics.throttled(name);
        if (shadow) onShadowDenial(overRate);
      },
      onCircuitOpen: ({ circuitOpen }) => (shadow ? onShadowDenial(circuitOpen) : undefined),
      onRetry: ({ name }, reason) => metrics.retried(name, reason),
      onFault: (err) => log.error({ err }, 'egress failed, request refused'),
      onFinish: (request) => this.#finished(request),
    };
  }

  /** Without query, headers or anything secret. */
  #finished({ request, status, tries, refusal, refusalReason }: EgressRequest): void {
    const { id: requestId, broker, head, path, startedAt } = request;
    const durationMs = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
    this.#options.metrics.answered(broker.name, status, durationMs / 1_000);
    const why = refusal === '' ? {} : { code: refusal, reason: refusalReason };
    const line = { requestId, broker: broker.name, method: head.method, path, status, durationMs, tries: tries.count };
    this.#options.log.info({ ...line, ...why }, 'egress request');
  }

  // ---- the listener --------------------------------------------------------------------------------------------------

  #accept(socket: Socket): void {
    if (this.#clock !== null) this.#clients.add(new ClientConnection(socket, this, this.#clock));
  }

  #close(): void {
    this.#server?.close();
    this.#server = null;
    this.#listenError = null;
    for (const client of this.#clients) client.closeWhenIdle();
  }

  #cannotListen(error: NodeJS.ErrnoException): void {
    const isNew = error.code !== this.#listenError?.code;
    this.#listenError = error;
    if (isNew) this.#options.log.error({ reason: this.problem }, 'cannot listen, egress is not served');
  }

  #enforceTimeouts(): void {
    const now = this.#clock?.now ?? 0;
    for (const client of this.#clients) client.enforceTimeouts(now);
    for (const connections of this.#brokers.values()) connections.enforceTimeouts(now);
    for (const connections of this.#retired) {
      connections.enforceTimeouts(now);
      // A request that waits for its next try may still open one.
      if (connections.retire() && this.#clients.size === 0) this.#retired.delete(connections);
    }
  }
}

function keyOf({ origin, ca, allowPrivateAddresses }: BrokerTarget): string {
  return JSON.stringify([origin, ca, allowPrivateAddresses]);
}

function whyNotListening({ host, port }: HostPort, error: NodeJS.ErrnoException): string {
  const what =
    error.code === 'EADDRINUSE'
      ? "is taken by another process of this pod; choose another egressPort in the chart's values, or move that process"
      : `cannot be listened on: ${error.message}`;
  return `EgressAddressInUse: ${host}:${port} ${what}`;
}

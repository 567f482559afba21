import { isIP } from 'node:net';
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { EgressConfig } from '../../policy/bundle/egress.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { CoarseClock } from '../engine/coarse-clock.ts';
import { type ConnectionOwner, UpstreamConnection, type UpstreamTimeouts } from '../engine/upstream-connection.ts';
import {
  type AllowedAddressesOptions,
  allowedAddresses,
  failed,
  hostOf,
  pinnedLookup,
} from '../outbound/allowed-addresses.ts';

const CONNECT_MS = 5_000;
const TIMEOUTS: UpstreamTimeouts = { connectMs: CONNECT_MS, requestMs: 30_000, idleMs: 60_000 };
/** An older connection is not used again, so that a name that leads elsewhere by now is noticed. */
const MOST_AGE_MS = 300_000;

/** What connections to one broker are made by; those with the same are the same broker's. */
export type BrokerTarget = Pick<EgressConfig, 'origin' | 'ca' | 'allowPrivateAddresses'>;

/**
 * Keep-alive connections to one broker, the most recently used first. For each new one the name is resolved, every address must be
 * allowed, and the connection goes to an address that was checked; TLS is verified by name, whatever the environment says.
 */
export class BrokerConnections implements ConnectionOwner {
  readonly #url: URL;
  readonly #secureContext: SecureContext;
  readonly #addresses: AllowedAddressesOptions;
  readonly #clock: CoarseClock;
  readonly #openedAt = new Map<UpstreamConnection, number>();
  readonly #idle: UpstreamConnection[] = [];
  #retired = false;

  constructor(
    { origin, ca, allowPrivateAddresses }: BrokerTarget,
    clock: CoarseClock,
    resolve?: AllowedAddressesOptions['resolve'],
  ) {
    this.#url = new URL(origin);
    this.#secureContext = createSecureContext({ minVersion: 'TLSv1.2', ...(ca !== null && { ca }) });
    this.#addresses = { allowPrivateAddresses, ...(resolve && { resolve }) };
    this.#clock = clock;
  }

  /** A connection that waits for a request. Rejects with `outbound_refused` or `outbound_failed`: then nothing was sent. */
  async acquire(): Promise<UpstreamConnection> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (this.#isYoung(idle)) return idle;
      idle.destroy();
    }
    return this.open();
  }

  /** A new connection, as `acquire`. */
  async open(): Promise<UpstreamConnection> {
    const socket = await this.#connect();
    const connection = new UpstreamConnection(socket, this, this.#clock, true);
    socket.on('data', (data: Buffer) => connection.receive(data));
    this.#openedAt.set(connection, this.#clock.now);
    return connection;
  }

  onIdle(connection: UpstreamConnection): void {
    if (this.#retired || !this.#isYoung(connection)) connection.destroy();
    else this.#idle.push(connection);
  }

  onClosed(connection: UpstreamConnection): void {
    this.#openedAt.delete(connection);
    const at = this.#idle.lastIndexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /** Ends what has been waited for too long. Called by the owner every so often. */
  enforceTimeouts(now: number): void {
    for (const connection of this.#openedAt.keys()) connection.enforceTimeouts(now, TIMEOUTS);
  }

  /** Keeps none any more; those in use end with their requests. True when all have. */
  retire(): boolean {
    this.#retired = true;
    for (const connection of [...this.#idle]) connection.destroy();
    return this.#openedAt.size === 0;
  }

  /** Ends every connection, busy ones included. */
  close(): void {
    this.#retired = true;
    for (const connection of [...this.#openedAt.keys()]) connection.destroy();
  }

  #isYoung(connection: UpstreamConnection): boolean {
    return this.#clock.now - (this.#openedAt.get(connection) ?? Number.NEGATIVE_INFINITY) < MOST_AGE_MS;
  }

  async #connect(): Promise<TLSSocket> {
    const url = this.#url;
    const signal = AbortSignal.timeout(CONNECT_MS);
    const tooLate = new Promise<never>((_, reject) => {
      const why = failed(url.href, `no connection within ${CONNECT_MS} ms`);
      signal.addEventListener('abort', () => reject(why), { once: true });
    });
    tooLate.catch(() => {});
    // A resolver cannot be stopped.
    const addresses = await Promise.race([allowedAddresses(url, this.#addresses), tooLate]);
    const socket = this.#open(addresses);
    try {
      await Promise.race([secured(socket), tooLate]);
      return socket;
    } catch (cause) {
      socket.destroy();
      throw cause instanceof PortcullisError
        ? cause
        : failed(url.href, (cause as Error).message || 'no connection', cause);
    }
  }

  #open(addresses: readonly string[]): TLSSocket {
    const host = hostOf(this.#url);
    return connect({
      host,
      port: this.#url.port === '' ? 443 : Number(this.#url.port),
      ...(isIP(host) === 0 && { servername: host }),
      lookup: pinnedLookup(addresses),
      secureContext: this.#secureContext,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: true,
    }).setNoDelay(true);
  }
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.on('error', reject); // stays: an error that nobody hears would end the process
    socket.once('close', () => reject(new Error('the connection was closed in the handshake')));
  });
}

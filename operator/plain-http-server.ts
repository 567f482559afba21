import { createServer, type IncomingMessage, type Server } from 'node:http';
import { limitPerAddress } from '../runtime/limit-per-address.ts';

/** One answer; the body is not sent to HEAD. */
export interface PlainAnswer {
  readonly status: number;
  /** Besides Content-Length. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Any pod reaches these ports, some of them anybody, and the kubelet restarts an operator that it cannot reach. */
const TIMEOUTS = { headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 };
const MAX_CONNECTIONS = 512;

/** A read-only port of the operator, without TLS. What `answer` throws is answered 500. */
export class PlainHttpServer {
  readonly #server: Server;

  constructor(
    answer: (request: IncomingMessage) => PlainAnswer | Promise<PlainAnswer>,
    maxConnectionsPerAddress: number,
  ) {
    this.#server = createServer(TIMEOUTS, async (request, response) => {
      let answered: PlainAnswer;
      try {
        answered = await answer(request);
      } catch {
        answered = { status: 500, headers: { 'content-type': 'text/plain' }, body: 'internal error\n' };
      }
      const { status, headers, body } = answered;
      const length = status === 304 ? {} : { 'content-length': Buffer.byteLength(body) };
      response.writeHead(status, { ...headers, ...length }).end(body);
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    limitPerAddress(this.#server, maxConnectionsPerAddress);
  }

  /** Rejects with the system's error when the port cannot be had. Port 0 takes a free one; resolves to the port. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, () => {
        this.#server.off('error', reject);
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

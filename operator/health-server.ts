import { createServer, type Server } from 'node:http';
import type { Registry } from 'prom-client';
import { limitPerAddress } from '../runtime/limit-per-address.ts';

/** What the health port shows. */
export interface HealthSources {
  readonly registry: Registry;
  /** Reasons for not being ready; empty when webhooks are answered from caches that are up to date. */
  readonly notReady: () => readonly string[];
}

/** Any pod reaches this port, and the kubelet restarts an operator that it cannot reach. */
const TIMEOUTS = { headersTimeout: 5_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 };
const MAX_CONNECTIONS = 512;
const MAX_CONNECTIONS_PER_ADDRESS = 16;

/** The operator's read-only port: /healthz, /readyz and /metrics. */
export class HealthServer {
  readonly #server: Server;

  constructor({ registry, notReady }: HealthSources) {
    this.#server = createServer(TIMEOUTS, async (request, response) => {
      const say = (status: number, body: string, type = 'text/plain'): void => {
        response.writeHead(status, { 'content-type': type }).end(body);
      };
      try {
        if (request.method !== 'GET') return say(405, 'only GET\n');
        switch (request.url) {
          case '/healthz':
            return say(200, 'ok\n');
          case '/readyz': {
            const reasons = notReady();
            return reasons.length === 0 ? say(200, 'ok\n') : say(503, `${reasons.join('\n')}\n`);
          }
          case '/metrics':
            return say(200, await registry.metrics(), registry.contentType);
          default:
            return say(404, 'not found; there are /healthz /readyz /metrics\n');
        }
      } catch {
        say(500, 'internal error\n');
      }
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    limitPerAddress(this.#server, MAX_CONNECTIONS_PER_ADDRESS);
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

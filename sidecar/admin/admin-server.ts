import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler } from 'express';
import type { Registry } from 'prom-client';
import type { SidecarStatus } from './status.ts';

/** What the admin port shows. */
export interface AdminSources {
  readonly registry: Registry;
  readonly status: () => SidecarStatus;
  /** Reasons for not being ready; empty when requests are served by a policy. */
  readonly notReady: () => readonly string[];
  /** An answer could not be made: to be logged. */
  readonly onFault: (error: unknown) => void;
}

/** The read-only admin port: /healthz, /readyz, /metrics, /status. Nothing here changes anything. */
export class AdminServer {
  readonly #server: Server;

  constructor(sources: AdminSources) {
    const app = express();
    app.disable('x-powered-by');
    app.set('etag', false);
    app.get('/healthz', (_req, res) => {
      res.type('text/plain').send('ok\n');
    });
    app.get('/readyz', (_req, res) => {
      const reasons = sources.notReady();
      res
        .status(reasons.length === 0 ? 200 : 503)
        .type('text/plain')
        .send(reasons.length === 0 ? 'ok\n' : `${reasons.join('\n')}\n`);
    });
    app.get('/metrics', async (_req, res) => {
      res.type(sources.registry.contentType).send(await sources.registry.metrics());
    });
    app.get('/status', (_req, res) => {
      res.json(sources.status());
    });
    app.use((_req, res) => {
      res.status(404).type('text/plain').send('not found; there are /healthz /readyz /metrics /status\n');
    });
    const failed: ErrorRequestHandler = (error, _req, res, _next) => {
      sources.onFault(error);
      res.status(500).type('text/plain').send('internal error; the log says more\n');
    };
    app.use(failed);
    this.#server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 30_000 }, app);
    this.#server.maxConnections = 64;
  }

  /** Rejects with the system's error when the address cannot be had. */
  listen(host: string, port: number): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { limitPerAddress } from '../../runtime/limit-per-address.ts';
import type { ForwardedProbe } from '../../runtime/sidecar-arguments.ts';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';
import { forwardProbe } from './forward-probe.ts';

/** What the admin port shows. */
export interface AdminSources {
  readonly registry: Registry;
  readonly status: () => SidecarStatus;
  /** Reasons for not being ready; empty when requests are served by a policy. */
  readonly notReady: () => readonly string[];
  /** What /readyz says besides, ready or not. */
  readonly notes: () => readonly string[];
  /** Probes of the application that are passed on. */
  readonly probes: readonly ForwardedProbe[];
  /** An answer could not be made: to be logged. */
  readonly onFault: (error: unknown) => void;
}

interface AdminAnswer {
  readonly status: number;
  /** Default: text/plain. */
  readonly type?: string;
  readonly body: string;
}

const NOT_FOUND: AdminAnswer = {
  status: 404,
  body: 'not found; there are /healthz /readyz /metrics /status, and /probes/CONTAINER/KIND for probes that were rewritten\n',
};
const FAILED: AdminAnswer = { status: 500, body: 'internal error; the log says more\n' };

/**
 * The read-only admin port: /healthz, /readyz, /metrics, /status, and /probes/CONTAINER/KIND, which asks the application. Nothing
 * here changes anything. On node:http alone: Express is half of a bundled sidecar.
 */
export class AdminServer {
  readonly #server: Server;
  readonly #sources: AdminSources;

  constructor(sources: AdminSources) {
    this.#sources = sources;
    const timeouts = {
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      keepAliveTimeout: 30_000,
      connectionsCheckingInterval: 1_000,
    };
    this.#server = createServer(timeouts, async (request, response) => {
      const { status, type, body } = await this.#answer(request).catch((error) => {
        sources.onFault(error);
        return FAILED;
      });
      response.writeHead(status, {
        'content-type': type ?? 'text/plain; charset=utf-8',
        'content-length': Buffer.byteLength(body),
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    });
    // Another pod that holds connections open must not keep the kubelet from asking.
    this.#server.maxConnections = 512;
    limitPerAddress(this.#server, 32);
  }

  /** Rejects with the system's error when the address cannot be had. */
  async listen(host: string, port: number): Promise<AddressInfo> {
    // Without a host Node takes 0.0.0.0 where the kernel has no IPv6.
    this.#server.listen({ ...(host !== '::' && { host }), port });
    await once(this.#server, 'listening');
    return this.#server.address() as AddressInfo;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer({ method, url = '', socket }: IncomingMessage): Promise<AdminAnswer> {
    if (method !== 'GET' && method !== 'HEAD') return NOT_FOUND;
    const { registry, status, notReady, notes } = this.#sources;
    const [path = ''] = url.split('?');
    switch (path) {
      case '/healthz':
        return { status: 200, body: 'ok\n' };
      case '/readyz': {
        const reasons = notReady();
        const lines = [...(reasons.length === 0 ? ['ok'] : reasons), ...notes()];
        return { status: reasons.length === 0 ? 200 : 503, body: `${lines.join('\n')}\n` };
      }
      case '/metrics':
        return { status: 200, type: registry.contentType, body: await registry.metrics() };
      case '/status':
        return { status: 200, type: 'application/json; charset=utf-8', body: JSON.stringify(status()) };
      default:
        return this.#forward(path, socket.localAddress ?? '');
    }
  }

  async #forward(path: string, podAddress: string): Promise<AdminAnswer> {
    const probe = this.#sources.probes.find(({ container, kind }) => path === `/probes/${container}/${kind}`);
    if (probe === undefined) return NOT_FOUND;
    // While we drain, traffic must stop coming although the application still answers.
    if (probe.kind === 'readiness' && this.#sources.status().draining) return { status: 503, body: 'draining\n' };
    const { status, text } = await forwardProbe(probe, podAddress);
    return { status, body: `${text}\n` };
  }
}

import type { Registry } from 'prom-client';
import { type PlainAnswer, PlainHttpServer } from './plain-http-server.ts';

/** What the health port shows. */
export interface HealthSources {
  readonly registry: Registry;
  /** Reasons for not being ready; empty when webhooks are answered from caches that are up to date. */
  readonly notReady: () => readonly string[];
}

const MAX_CONNECTIONS_PER_ADDRESS = 16;

/** The operator's read-only port: /healthz, /readyz and /metrics. */
export class HealthServer extends PlainHttpServer {
  constructor({ registry, notReady }: HealthSources) {
    super(async ({ method, url }) => {
      if (method !== 'GET') return say(405, 'only GET\n');
      switch (url) {
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
    }, MAX_CONNECTIONS_PER_ADDRESS);
  }
}

function say(status: number, body: string, type = 'text/plain'): PlainAnswer {
  return { status, headers: { 'content-type': type }, body };
}

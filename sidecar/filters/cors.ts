import type { CorsConfig } from '../../policy/bundle/types.ts';
import type { Filter } from '../pipeline/filter.ts';

/** Answer headers that a policy with a CORS block decides alone. */
export const CORS_HEADERS: readonly string[] = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-expose-headers',
  'access-control-max-age',
];

/**
 * The CORS protocol (Fetch standard, "HTTP responses"): answers preflights by itself, before authentication, since browsers
 * send no credentials with them, and adds the headers to every answer for an allowed origin, denials included. An origin that is
 * not allowed gets none, and the browser refuses. A Shadow policy has no such filter: the application's own headers stay.
 */
export function cors(config: CorsConfig): Filter {
  const origins = new Set(config.origins);
  const anyOrigin = origins.has('*');
  const allowed = (origin: string): boolean => anyOrigin || origins.has(origin);
  const methods = config.methods.join(', ');
  const requestHeaders = config.headers.join(', ');
  const exposed = config.exposeHeaders.join(', ');
  const maxAge = String(Math.floor(config.maxAgeMs / 1_000));

  return {
    name: 'cors',
    onRequest: (exchange) => {
      if (exchange.method !== 'OPTIONS') return undefined;
      const origin = exchange.header('origin');
      if (origin === undefined || exchange.header('access-control-request-method') === undefined) return undefined;
      const headers: string[] = [];
      if (allowed(origin)) {
        if (methods !== '') headers.push('access-control-allow-methods', methods);
        if (requestHeaders !== '') headers.push('access-control-allow-headers', requestHeaders);
        headers.push('access-control-max-age', maxAge);
      }
      return { kind: 'answer', status: 204, headers, body: '' };
    },
    onResponse: (exchange, headers) => {
      if (!anyOrigin) headers.push('vary', 'Origin');
      const origin = exchange.header('origin');
      if (origin === undefined || !allowed(origin)) return;
      headers.push('access-control-allow-origin', anyOrigin ? '*' : origin);
      if (config.credentials) headers.push('access-control-allow-credentials', 'true');
      if (exposed !== '') headers.push('access-control-expose-headers', exposed);
    },
  };
}

import { Counter, type Registry } from 'prom-client';

/** What was asked for: a JWKS, an OpenID configuration, or neither. */
export type JwksRequestKind = 'jwks' | 'discovery' | 'other';

/** Counts the answers of the JWKS port. */
export class JwksMetrics {
  readonly #requests: Counter<'kind' | 'code'>;

  constructor(registry: Registry) {
    this.#requests = new Counter({
      name: 'portcullis_jwks_requests_total',
      help: 'Requests of verifiers outside the cluster, by what they ask for (jwks, discovery, other) and class of the status (2xx to 5xx).',
      labelNames: ['kind', 'code'],
      registers: [registry],
    });
  }

  answered(kind: JwksRequestKind, status: number): void {
    this.#requests.inc({ kind, code: `${Math.floor(status / 100)}xx` });
  }
}

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Metrics of webhooks, under controller-runtime's names; `webhook` is the path. */
export class WebhookMetrics {
  readonly requests: Counter<'webhook' | 'code'>;
  readonly latency: Histogram<'webhook'>;
  readonly inFlight: Gauge<'webhook'>;
  readonly certificateExpiry: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.requests = new Counter({
      name: 'controller_runtime_webhook_requests_total',
      help: 'Admission requests answered, by path and HTTP status.',
      labelNames: ['webhook', 'code'],
      registers,
    });
    this.latency = new Histogram({
      name: 'controller_runtime_webhook_latency_seconds',
      help: 'Time to decide on an admission request, by path.',
      labelNames: ['webhook'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    });
    this.inFlight = new Gauge({
      name: 'controller_runtime_webhook_requests_in_flight',
      help: 'Admission requests being decided on, by path.',
      labelNames: ['webhook'],
      registers,
    });
    this.certificateExpiry = new Gauge({
      name: 'portcullis_webhook_certificate_expiry_timestamp_seconds',
      help: 'When the certificate that this replica serves webhooks with expires, in seconds since 1970; 0: it has none.',
      registers,
    });
  }
}

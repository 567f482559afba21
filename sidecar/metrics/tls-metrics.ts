import { Counter, Gauge, type Registry } from 'prom-client';
import type { HandshakeFailure } from '../engine/tls-listener.ts';

/** What is counted where the sidecar speaks TLS; elsewhere these metrics do not exist. */
export class TlsMetrics {
  readonly #refused: Counter;
  readonly #failures: Counter<'reason'>;

  /** `secondsLeft`: until the certificate in use ends; null: there is none. */
  constructor(registry: Registry, secondsLeft: () => number | null) {
    const registers = [registry];
    new Gauge({
      name: 'portcullis_tls_certificate_expiry_seconds',
      help: 'Time until the certificate that clients are shown ends; negative: it has; absent: there is none yet.',
      registers,
      collect() {
        const seconds = secondsLeft();
        if (seconds === null) this.remove();
        else this.set(seconds);
      },
    });
    this.#refused = new Counter({
      name: 'portcullis_tls_certificate_errors_total',
      help: 'New certificates that were refused; the last good one stays in use.',
      registers,
    });
    this.#failures = new Counter({
      name: 'portcullis_tls_handshake_failures_total',
      help: 'Connections that ended before TLS was spoken, by reason (docs/tls.md).',
      labelNames: ['reason'],
      registers,
    });
  }

  certificateRefused(): void {
    this.#refused.inc();
  }

  handshakeFailed(reason: HandshakeFailure): void {
    this.#failures.inc({ reason });
  }
}

import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { TlsState } from '../../runtime/sidecar-status.ts';
import type { CertificatePair, TlsListening } from '../engine/tls-listener.ts';
import { TlsMetrics } from '../metrics/tls-metrics.ts';
import { type CertificateFiles, CertificateSource } from './certificate-source.ts';

/** What TLS at the traffic ports is made from. */
export interface TlsTerminationOptions {
  readonly files: CertificateFiles;
  /** Shows a certificate to clients from now on. */
  readonly use: (pair: CertificatePair) => void;
  readonly log: Logger;
  readonly registry: Registry;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** The certificate of the traffic ports: watched, put in use, and what is said of it. */
export class TlsTermination {
  readonly listening: TlsListening;
  readonly #source: CertificateSource;
  readonly #options: TlsTerminationOptions;

  constructor(options: TlsTerminationOptions) {
    this.#options = options;
    const { files, use, log, registry, now } = options;
    const metrics = new TlsMetrics(registry, () => {
      const { notAfter } = this.state;
      return notAfter === 0 ? null : (notAfter - now()) / 1_000;
    });
    this.listening = {
      onHandshakeFailure: (reason, peer) => {
        metrics.handshakeFailed(reason);
        if (reason !== 'left') log.info({ reason, client: peer }, 'no TLS handshake');
      },
    };
    this.#source = new CertificateSource(
      files,
      {
        use: (certificate) => {
          use(certificate);
          log.info({ notAfter: new Date(certificate.notAfter).toISOString() }, 'certificate loaded');
        },
        refused: ({ code, message }) => {
          metrics.certificateRefused();
          log.error({ code, certificate: files.name, reason: message }, 'certificate refused, the last good one stays');
        },
      },
      now,
    );
  }

  get state(): TlsState {
    return this.#source.state;
  }

  start(): Promise<void> {
    return this.#source.start();
  }

  stop(): void {
    this.#source.stop();
  }

  /** Reasons for which no client can be served. */
  notReady(): string[] {
    const { name, advice } = this.#options.files;
    const { notAfter, error } = this.state;
    if (notAfter > 0) return [];
    return [error === null ? `CertificateMissing: ${name}: there is none yet; ${advice}` : this.#refusal(error)];
  }

  /** What is worth knowing and no reason to be unready. */
  notes(): string[] {
    const { name, advice } = this.#options.files;
    const { notAfter, error } = this.state;
    if (notAfter === 0) return [];
    const ended = notAfter <= this.#options.now();
    return [
      ...(ended ? [`CertificateExpired: ${name}: at ${new Date(notAfter).toISOString()}; ${advice}`] : []),
      ...(error === null ? [] : [this.#refusal(error)]),
    ];
  }

  #refusal({ code, message }: NonNullable<TlsState['error']>): string {
    return `${code}: ${this.#options.files.name}: ${message}`;
  }
}

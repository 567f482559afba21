import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { PortcullisError } from '../../policy/errors.ts';
import type { TlsState } from '../../runtime/sidecar-status.ts';
import { watchDirectory } from '../../runtime/watch-directory.ts';
import type { CertificatePair } from '../engine/tls-listener.ts';
import { type Certificate, readCertificate } from './read-certificate.ts';

/** Where a certificate comes from. */
export interface CertificateFiles {
  /** Paths of the chain and the key; PEM. In a pod both are in a mounted Secret. */
  readonly cert: string;
  readonly key: string;
  /** How messages name the two together, such as `Secret shop/orders-tls`. */
  readonly name: string;
  /** How somebody puts them right. */
  readonly advice: string;
}

/** What to do with certificates. */
export interface CertificateEvents {
  /** Puts it in use. */
  use(certificate: Certificate): void;
  /** A new one is of no use; the last good one stays. */
  refused(error: PortcullisError): void;
}

/** A mounted Secret changes at once, but two files are two reads. */
const READS = 2;

/** Reads and checks both files now; null when one is missing. Throws `certificate_invalid`. */
export async function loadCertificate(files: CertificateFiles): Promise<Certificate | null> {
  const names = { cert: basename(files.cert), key: basename(files.key) };
  for (let reads = 1; ; reads++) {
    const pair = await readPair(files);
    if (pair === null) return null;
    try {
      return readCertificate(pair.cert, pair.key, names);
    } catch (error) {
      if (reads === READS) throw error;
    }
  }
}

/**
 * Watches a certificate's files and hands on each new pair that can be served; a bad one is reported once and the last good one stays.
 * Directories are watched, not files: a mounted Secret changes by renaming `..data` (KEP-1412).
 */
export class CertificateSource {
  readonly #files: CertificateFiles;
  readonly #events: CertificateEvents;
  readonly #now: () => number;
  #unwatch: readonly (() => void)[] = [];
  #reading: Promise<void> = Promise.resolve();
  #inUse: Certificate | null = null;
  #error: PortcullisError | null = null;

  constructor(files: CertificateFiles, events: CertificateEvents, now: () => number) {
    this.#files = files;
    this.#events = events;
    this.#now = now;
  }

  get state(): TlsState {
    const error = this.#error;
    return {
      notAfter: this.#inUse?.notAfter ?? 0,
      error: error === null ? null : { code: error.code, message: error.message },
    };
  }

  /** Reads what is there now and begins to watch. Missing files are no error: they may come. */
  async start(): Promise<void> {
    await this.check();
    const { cert, key } = this.#files;
    const directories = new Set([dirname(cert), dirname(key)]);
    this.#unwatch = [...directories].map((directory) => watchDirectory(directory, () => void this.check()));
  }

  stop(): void {
    for (const unwatch of this.#unwatch) unwatch();
  }

  /** Looks at the files now. Resolves when they have been taken or refused; one look at a time. */
  check(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#look());
    return this.#reading;
  }

  async #look(): Promise<void> {
    try {
      const found = await loadCertificate(this.#files);
      if (found === null) {
        if (this.#inUse !== null) throw invalid('it is gone; what was there stays in use');
      } else if (!isSame(found, this.#inUse)) {
        this.#refuseExpired(found);
        this.#events.use(found);
        this.#inUse = found;
      }
      this.#error = null;
    } catch (cause) {
      const { cert, key } = this.#files;
      const error =
        cause instanceof PortcullisError
          ? cause
          : invalid(`${cert} and ${key} cannot be used: ${(cause as Error).message}`, cause);
      const isNews = error.message !== this.#error?.message;
      this.#error = error;
      if (isNews) this.#events.refused(error);
    }
  }

  /** Where there is no better one an expired certificate is served: some clients get on with it, and the others say what is wrong. */
  #refuseExpired({ notAfter }: Certificate): void {
    const now = this.#now();
    if (notAfter > now || this.#inUse === null || this.#inUse.notAfter <= now) return;
    throw invalid(`the new certificate expired at ${new Date(notAfter).toISOString()}: write one that is valid`);
  }
}

async function readPair({ cert, key }: CertificateFiles): Promise<CertificatePair | null> {
  try {
    return { cert: await readFile(cert), key: await readFile(key) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function isSame(found: CertificatePair, inUse: CertificatePair | null): boolean {
  return inUse !== null && found.cert.equals(inUse.cert) && found.key.equals(inUse.key);
}

function invalid(message: string, cause?: unknown): PortcullisError {
  return new PortcullisError('certificate_invalid', message, { cause });
}

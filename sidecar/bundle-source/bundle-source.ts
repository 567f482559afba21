import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleHash } from '../../policy/bundle/decode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import type { Bundle } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { BundleState } from '../../runtime/sidecar-status.ts';

/** Where one bundle comes from and whose it must be. */
export interface BundleLocation {
  /** Directory that holds bundle.v1.json: a mounted Secret, or local mode's state. */
  readonly directory: string;
  readonly namespace: string;
  readonly name: string;
  /** The first bundle must have at least this serial: what was in force when the pod was created is not undone by an old file. */
  readonly minimumSerial?: number;
}

/** Which bundle is in use: older ones, and others of the same serial, are refused. */
export interface BundleInUse {
  readonly afterSerial: number;
  /** Absent: any hash. */
  readonly afterHash?: string;
}

/** What to do with a file that changed. */
export interface BundleSourceEvents<B extends Bundle> {
  /** Checks and decodes; throws PortcullisError. */
  decode(bytes: Buffer, after: BundleInUse): B;
  /** Puts the bundle in force. May throw: the bundle is then refused like a corrupt one. */
  accept(bundle: B): void | Promise<void>;
  refused(error: PortcullisError): void;
}

const POLL_MS = 2_000;
const SETTLE_MS = 20;

/**
 * Watches one bundle file and hands on each new one that is wholly valid; a bad one is reported once and the last good one
 * stays. The directory is watched, not the file, because a mounted Secret changes by renaming `..data` (KEP-1412); a poll catches what the
 * watch misses.
 */
export class BundleSource<B extends Bundle> {
  readonly #location: BundleLocation;
  readonly #events: BundleSourceEvents<B>;
  readonly #now: () => number;
  #state: BundleState;
  #watcher: FSWatcher | null = null;
  #poll: NodeJS.Timeout | null = null;
  #settle: NodeJS.Timeout | null = null;
  #reading: Promise<void> = Promise.resolve();
  #lastRefused = '';

  constructor(location: BundleLocation, events: BundleSourceEvents<B>, now: () => number) {
    this.#location = location;
    this.#events = events;
    this.#now = now;
    this.#state = { namespace: location.namespace, name: location.name, serial: 0, hash: '', loadedAt: 0, error: null };
  }

  get state(): BundleState {
    return this.#state;
  }

  /** Reads what is there now and begins to watch. A missing file is no error: there is no policy yet. */
  async start(): Promise<void> {
    await this.check();
    this.#openWatch();
    this.#poll = setInterval(() => {
      if (this.#watcher === null) this.#openWatch();
      void this.check();
    }, POLL_MS);
    this.#poll.unref();
  }

  stop(): void {
    this.#watcher?.close();
    if (this.#poll !== null) clearInterval(this.#poll);
    if (this.#settle !== null) clearTimeout(this.#settle);
  }

  /** Looks at the file now. Resolves when it has been taken or refused; one look at a time. */
  check(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#read());
    return this.#reading;
  }

  /** The bundle that the file holds now, in force or not. Rejects when it is not wholly valid. */
  async peek(): Promise<B> {
    return this.#decode(await this.#bytes());
  }

  /** Looks again, at a file that was refused too: what it did not fit may have changed. */
  reconsider(): void {
    this.#lastRefused = '';
    void this.check();
  }

  #openWatch(): void {
    try {
      const watcher = watch(this.#location.directory, () => {
        if (this.#settle !== null) return;
        this.#settle = setTimeout(() => {
          this.#settle = null;
          void this.check();
        }, SETTLE_MS);
      });
      watcher.unref();
      watcher.on('error', () => {
        watcher.close();
        this.#watcher = null; // the poll opens it again
      });
      this.#watcher = watcher;
    } catch {
      this.#watcher = null; // the directory is not there yet
    }
  }

  async #read(): Promise<void> {
    let bytes: Buffer;
    try {
      bytes = await this.#bytes();
    } catch (cause) {
      if (this.#state.serial === 0 && (cause as NodeJS.ErrnoException).code === 'ENOENT') {
        this.#state = { ...this.#state, error: null };
        this.#lastRefused = '';
        return;
      }
      this.#refuse(
        new PortcullisError('bundle_corrupt', `bundle file cannot be read: ${(cause as Error).message}`, { cause }),
        '',
      );
      return;
    }
    const hash = bundleHash(bytes);
    if (hash === this.#state.hash) {
      if (this.#state.error !== null) this.#state = { ...this.#state, error: null };
      this.#lastRefused = '';
      return;
    }
    if (hash === this.#lastRefused) return;
    try {
      const bundle = this.#decode(bytes);
      await this.#events.accept(bundle);
      this.#lastRefused = '';
      this.#state = { ...this.#state, serial: bundle.serial, hash, loadedAt: this.#now(), error: null };
    } catch (cause) {
      this.#refuse(
        cause instanceof PortcullisError
          ? cause
          : new PortcullisError('bundle_invalid', `bundle cannot be used: ${(cause as Error).message}`, { cause }),
        hash,
      );
    }
  }

  #bytes(): Promise<Buffer> {
    return readFile(join(this.#location.directory, BUNDLE_FILE));
  }

  #decode(bytes: Buffer): B {
    const { serial, hash } = this.#state;
    if (serial > 0) return this.#events.decode(bytes, { afterSerial: serial, afterHash: hash });
    const { minimumSerial = 0 } = this.#location;
    try {
      return this.#events.decode(bytes, { afterSerial: minimumSerial });
    } catch (cause) {
      if (!(cause instanceof PortcullisError) || cause.code !== 'bundle_older') throw cause;
      const message = `an old bundle was put back: when this pod was created its serial was ${minimumSerial} already`;
      throw new PortcullisError(
        'bundle_older',
        `${message}; the operator writes the present one again within minutes`,
        {
          cause,
        },
      );
    }
  }

  #refuse(error: PortcullisError, hash: string): void {
    const repeated = this.#state.error !== null && hash === '' && this.#state.error.code === error.code;
    this.#lastRefused = hash;
    this.#state = { ...this.#state, error: { code: error.code, message: error.message } };
    if (!repeated) this.#events.refused(error);
  }
}

import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleHash } from '../../policy/bundle/decode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import type { Bundle } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';

/** Where one bundle comes from and whose it must be. */
export interface BundleLocation {
  /** Directory that holds bundle.v1.json: a mounted Secret, or local mode's state. */
  readonly directory: string;
  readonly namespace: string;
  readonly name: string;
}

/** What is known of one kind of bundle: in use, and what is wrong with the newest file. */
export interface BundleState {
  readonly namespace: string;
  readonly name: string;
  /** 0: none yet. */
  readonly serial: number;
  /** SHA-256 of the file in use; empty: none yet. */
  readonly hash: string;
  /** Epoch milliseconds; 0: none yet. */
  readonly loadedAt: number;
  /** Why the newest file was not taken; null when what is in use is the newest. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** What to do with a file that changed. */
export interface BundleSourceEvents<B extends Bundle> {
  /** Checks and decodes; throws PortcullisError. `after` is what is in use: older is refused. */
  decode(bytes: Buffer, after: { readonly serial: number; readonly hash: string }): B;
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
      bytes = await readFile(join(this.#location.directory, BUNDLE_FILE));
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
      const bundle = this.#events.decode(bytes, this.#state);
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

  #refuse(error: PortcullisError, hash: string): void {
    const repeated = this.#state.error !== null && hash === '' && this.#state.error.code === error.code;
    this.#lastRefused = hash;
    this.#state = { ...this.#state, error: { code: error.code, message: error.message } };
    if (!repeated) this.#events.refused(error);
  }
}

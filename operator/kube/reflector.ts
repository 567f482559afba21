import type { Logger } from 'pino';
import { backoffMs } from './backoff.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import type { HttpsKubeClient } from './https-kube-client.ts';
import { KubeError, type Selection } from './kube-client.ts';
import type { KubeMetrics } from './kube-metrics.ts';
import { ObjectStore } from './object-store.ts';
import type { KubeObject, ResourceType } from './objects.ts';
import type { WatchEvent } from './watch-stream.ts';

/** What a reflector is told. */
export interface ReflectorOptions<T extends KubeObject> {
  readonly client: Pick<HttpsKubeClient, 'list' | 'watch'>;
  readonly type: ResourceType<T>;
  readonly selection?: Selection;
  /** What is kept of each object; must keep its metadata's name, namespace, uid and resourceVersion. */
  readonly keep?: (object: T) => T;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  readonly clock?: Clock;
  /** From 0 up to 1. */
  readonly random?: () => number;
  readonly times?: ReflectorTimes;
}

/** How long a reflector waits. */
export interface ReflectorTimes {
  /** A watch is ended by the server after this, up to twice this. */
  readonly watchMs: number;
  /** The API server sends a bookmark every minute: so long without a byte means that the connection is dead. */
  readonly stallMs: number;
  /** First and longest wait after failures. */
  readonly firstBackoffMs: number;
  readonly mostBackoffMs: number;
}

const TIMES: ReflectorTimes = { watchMs: 300_000, stallMs: 150_000, firstBackoffMs: 800, mostBackoffMs: 30_000 };
/** A server that ends watches as soon as they begin is not to be asked again at once. */
const SHORT_WATCH_MS = 1000;
/** After so many failures in a row the version itself is doubted: an API server restored from a backup knows it only later. */
const FAILURES_UNTIL_RELIST = 3;

/** A cache that follows the API server: one list, then watches, and after whatever happens all is again as the server has it. */
export class Reflector<T extends KubeObject> extends ObjectStore<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #times: ReflectorTimes;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  readonly #firstList = Promise.withResolvers<void>();
  #running: Promise<void> = Promise.resolve();
  #lastContact = 0;
  #failures = 0;
  /** Empty: a list comes first. */
  #version = '';

  constructor(options: ReflectorOptions<T>) {
    super((error) => this.#listenerFailed(error));
    this.#options = options;
    this.#times = options.times ?? TIMES;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  /** Begins; listeners that are there by now miss nothing. */
  start(): void {
    this.#running = this.#run();
  }

  /** Resolves once `synced`. */
  whenSynced(): Promise<void> {
    return this.#firstList.promise;
  }

  /** When the API server last said something about these objects, at least every minute or so while all is well; epoch milliseconds, 0: never. */
  get lastContact(): number {
    return this.#lastContact;
  }

  /** Ends the watch; what is cached stays. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (this.#version === '') await this.#list();
        await this.#watch();
      } catch (error) {
        if (!signal.aborted) await pause(this.#clock, this.#failed(error), signal);
      }
    }
  }

  async #list(): Promise<void> {
    const { client, type, selection, keep } = this.#options;
    const { items, resourceVersion } = await client.list(type, selection, keep);
    if (this.#stop.signal.aborted) return;
    this.#heard(resourceVersion);
    this.replaceAll(items);
    this.#firstList.resolve();
  }

  async #watch(): Promise<void> {
    const { client, type, selection = {} } = this.#options;
    const begun = this.#clock.now();
    const events = client.watch(type, selection, {
      resourceVersion: this.#version,
      timeoutSeconds: (this.#times.watchMs * (1 + this.#random())) / 1000,
      stallMs: this.#times.stallMs,
      signal: this.#stop.signal,
    });
    let silent = true;
    for await (const event of events) {
      this.#take(event);
      this.#failures = 0;
      silent = false;
    }
    if (silent && this.#clock.now() - begun < SHORT_WATCH_MS) {
      throw new KubeError(0, 'ShortWatch', 'the server ended the watch as soon as it began');
    }
    this.#failures = 0;
    this.#heard(this.#version);
  }

  #take({ type, object }: WatchEvent<T>): void {
    this.#heard(object.metadata.resourceVersion ?? this.#version);
    if (type === 'DELETED') this.delete(object.metadata);
    else if (type !== 'BOOKMARK') this.set(this.#options.keep?.(object) ?? object);
  }

  #heard(version: string): void {
    this.#version = version;
    this.#lastContact = this.#clock.epoch();
  }

  /** How long to wait now. */
  #failed(error: unknown): number {
    const { type, log, metrics } = this.#options;
    const known = error instanceof KubeError ? error : undefined;
    this.#failures++;
    const expired = known?.status === 410;
    if (expired || this.#failures >= FAILURES_UNTIL_RELIST) this.#version = '';
    const { firstBackoffMs, mostBackoffMs } = this.#times;
    const backoff = backoffMs(this.#failures, firstBackoffMs, mostBackoffMs) * (1 + this.#random());
    const waitMs = Math.round(Math.max(backoff, known?.retryAfterMs ?? 0));
    const fields = { resource: type.plural, failures: this.#failures, waitMs, relist: this.#version === '' };
    metrics.watchFailures.inc({ resource: type.plural, reason: known?.reason || 'Unknown' });
    if (expired) log.info(fields, 'watch expired');
    else log.warn({ ...fields, err: error }, 'list or watch failed');
    return waitMs;
  }

  #listenerFailed(error: unknown): void {
    const { type, log, metrics } = this.#options;
    metrics.listenerErrors.inc({ resource: type.plural });
    log.error({ resource: type.plural, err: error }, 'listener of a watch threw');
  }
}

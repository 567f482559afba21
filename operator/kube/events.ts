import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { backoffMs } from './backoff.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import { type EventRecord, type EventRecorder, type KubeClient, KubeError } from './kube-client.ts';
import type { KubeMetrics } from './kube-metrics.ts';
import type { KubeObject, ResourceType } from './objects.ts';

/** core/v1 Event. Not events.k8s.io/v1: `count` is what every kubectl folds by in `describe`. */
export interface CoreEvent extends KubeObject {
  readonly involvedObject: Readonly<Record<string, string | undefined>>;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  /** RFC 3339. */
  readonly firstTimestamp: string;
  readonly lastTimestamp: string;
  readonly source: { readonly component: string };
  readonly reportingComponent: string;
  readonly reportingInstance: string;
}

/** Where Events are. */
export const EVENTS: ResourceType<CoreEvent> = { apiVersion: 'v1', kind: 'Event', plural: 'events', namespaced: true };

/** What a recorder is told. */
export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, 'create' | 'patch'>;
  /** Who says so, such as `portcullis-operator`. */
  readonly component: string;
  /** Name of the pod. */
  readonly instance: string;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
  readonly clock?: Clock;
}

/** What an Event goes on saying. Kept for long, so without the rest of the object. */
type Said = Pick<CoreEvent, 'metadata' | 'involvedObject' | 'type' | 'reason' | 'message'>;

interface Series {
  readonly said: Said;
  readonly firstAt: number;
  lastAt: number;
  count: number;
  written: boolean;
  queued: boolean;
}

/** As client-go's spam filter: 25 Events about an object, and one more every 5 minutes. */
const BURST = 25;
const REFILL_MS = 300_000;
const MOST_SERIES = 4096;
const MOST_QUEUED = 1000;
const ATTEMPTS = 5;
const MAX_MESSAGE_CHARACTERS = 1024;

/** Writes Events in the background, one after the other; the same about the same object becomes one with a count. */
export class KubeEventRecorder implements EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #series = new Map<string, Series>();
  /** Object to when its bucket will be full again. */
  readonly #fullAt = new Map<string, number>();
  readonly #queue: Series[] = [];
  #sending: Promise<void> | null = null;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  record(record: EventRecord): void {
    const said = saidBy(record);
    const { kind, namespace, name, uid } = said.involvedObject;
    const object = `${kind}/${namespace}/${name}/${uid}`;
    if (!this.#admits(object)) {
      this.#dropped('rate', said);
      return;
    }
    const series = this.#seriesOf(`${object}/${said.type}/${said.reason}/${said.message}`, said);
    series.count++;
    series.lastAt = this.#clock.epoch();
    if (series.queued) return;
    if (this.#queue.length === MOST_QUEUED) {
      this.#dropped('queue', said);
      return;
    }
    series.queued = true;
    this.#queue.push(series);
    this.#sending ??= this.#send();
  }

  /** Resolves when all that was recorded is written or given up. */
  async flush(): Promise<void> {
    await this.#sending;
  }

  #admits(object: string): boolean {
    const now = this.#clock.now();
    const fullAt = Math.max(this.#fullAt.get(object) ?? 0, now) + REFILL_MS;
    if (fullAt - now > BURST * REFILL_MS) return false;
    remember(this.#fullAt, object, fullAt);
    return true;
  }

  #seriesOf(key: string, said: Said): Series {
    const now = this.#clock.epoch();
    const made = { said, firstAt: now, lastAt: now, count: 0, written: false, queued: false };
    const series = this.#series.get(key) ?? made;
    remember(this.#series, key, series);
    return series;
  }

  async #send(): Promise<void> {
    for (let series = this.#queue.shift(); series; series = this.#queue.shift()) {
      series.queued = false;
      await this.#write(series);
    }
    this.#sending = null;
  }

  async #write(series: Series): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#writeOnce(series);
      } catch (error) {
        const { status = 0, retryAfterMs = 0 } = error instanceof KubeError ? error : {};
        const passing = status === 0 || status === 429 || status >= 500;
        if (!passing || attempt === ATTEMPTS) {
          this.#options.log.debug({ reason: series.said.reason, err: error }, 'Event not written');
          return this.#dropped('refused', series.said);
        }
        await pause(this.#clock, Math.max(retryAfterMs ?? 0, backoffMs(attempt, 1000, 10_000)));
      }
    }
  }

  async #writeOnce(series: Series): Promise<void> {
    const { client } = this.#options;
    const event = this.#eventOf(series);
    try {
      if (series.written) {
        const { count, lastTimestamp } = event;
        await client.patch(EVENTS, event.metadata, { count, lastTimestamp });
      } else {
        await client.create(EVENTS, event);
      }
    } catch (error) {
      // Events expire after an hour, or an answer was lost: the other verb then.
      const reason = error instanceof KubeError ? error.reason : '';
      if (reason !== (series.written ? 'NotFound' : 'AlreadyExists')) throw error;
      series.written = !series.written;
      return this.#writeOnce(series);
    }
    series.written = true;
  }

  #eventOf({ said, firstAt, lastAt, count }: Series): CoreEvent {
    const { component, instance } = this.#options;
    return {
      ...said,
      count,
      firstTimestamp: timestamp(firstAt),
      lastTimestamp: timestamp(lastAt),
      source: { component },
      reportingComponent: component,
      reportingInstance: instance,
    };
  }

  #dropped(why: 'rate' | 'queue' | 'refused', { reason }: Said): void {
    this.#options.metrics.eventsDropped.inc({ reason: why });
    this.#options.log.debug({ why, reason }, 'Event dropped');
  }
}

function saidBy({ about, type, reason, message }: EventRecord): Said {
  const { apiVersion, kind } = about;
  const { namespace, name, uid, resourceVersion } = about.metadata;
  return {
    // Events about what has no namespace are kept in `default`.
    metadata: {
      namespace: namespace ?? 'default',
      name: `${name.slice(0, 230)}.${randomBytes(8).toString('hex')}`,
    },
    involvedObject: { apiVersion, kind, namespace, name, uid, resourceVersion },
    type,
    reason,
    message: message.length > MAX_MESSAGE_CHARACTERS ? `${message.slice(0, MAX_MESSAGE_CHARACTERS - 1)}…` : message,
  };
}

/** Puts the entry last, and forgets the one that was used longest ago. */
function remember<V>(entries: Map<string, V>, key: string, value: V): void {
  entries.delete(key);
  entries.set(key, value);
  if (entries.size <= MOST_SERIES) return;
  const [oldest] = entries.keys();
  if (oldest !== undefined) entries.delete(oldest);
}

/** metav1.Time: whole seconds. */
function timestamp(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z');
}

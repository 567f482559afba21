import { Command, Redis } from 'ioredis';
import { PortcullisError } from '../../policy/errors.ts';
import { parseRedisUrl, REDIS_URL_FORMS, type RedisEndpoint } from '../../policy/evaluate/redis-url.ts';
import { HEARTBEAT_SCRIPT } from './lua/heartbeat-script.ts';
import { PendingCalls, type Settle } from './pending-calls.ts';
import { ClusterRoute, clientOptions, isMigrating } from './redis-dialing.ts';
import { ReplicaCount } from './replica-count.ts';

const HEARTBEAT_MS = 2000;
const ALIVE_MS = 3 * HEARTBEAT_MS;
/** An epoch outlives the last process that used it by this long: longer than any restart of everything. */
const EPOCH_TTL_MS = 7 * 24 * 3600 * 1000;
const PROBE_MIN_MS = 100;
const PROBE_MAX_MS = 1000;
const CONNECT_TIMEOUT_MS = 1000;
/** Probes without success after which the connection is dialled anew: the other end may be gone without a word. */
const PROBES_PER_CONNECTION = 3;
const REDIRECTS_AT_ONCE = 5;
const UTF8 = { replyEncoding: 'utf8' } as const;

/** Tells that the store began or ceased to answer. `cause` is a short constant text or an error's code, never a secret. */
export type OnStateChange = (available: boolean, cause: string) => void;

/** Settings of a RedisConnection. */
export interface RedisConnectionOptions {
  /** As `parseRedisUrl` takes it. */
  readonly redisUrl: string;
  /** PEM: the only authorities that may vouch for a server; without: the public ones. */
  readonly ca?: string | undefined;
  /** Name of this process among the replicas; unique. */
  readonly replica: string;
  /** Keys of the epoch and of the set of replicas, in one hash slot. */
  readonly epochKey: string;
  readonly replicasKey: string;
  readonly timeoutMs: number;
  readonly onStateChange: OnStateChange;
}

/**
 * One connection to Redis that fails fast: a call is answered within the time-out or settled as unanswered, and the first that
 * is not marks the store unavailable until a probe in the background is answered. Never throws; dials again for ever. In a cluster it is a
 * connection to the node that has the slot of its keys, so that losing another node does not concern it.
 */
export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  readonly #client: Redis;
  /** Null: no cluster. */
  readonly #route: ClusterRoute | null;
  #dialled: RedisEndpoint;
  #redirecting = false;
  /** Since it was answered last. */
  #redirects = 0;
  readonly #pending: PendingCalls;
  readonly #replicas = new ReplicaCount();
  /** Resolves when the first attempt to reach Redis has succeeded or failed. */
  readonly opened: Promise<void>;
  #markOpened: () => void = () => {};
  #state: 'opening' | 'available' | 'unavailable' | 'closed' = 'opening';
  #epoch = '';
  #epochChanges = 0;
  #beating = false;
  #corked = false;
  #failedProbes = 0;
  #timer: NodeJS.Timeout | null = null;

  /** Throws PortcullisError `config_invalid` for a URL that is none, without showing it. */
  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    const target = parseRedisUrl(options.redisUrl);
    // Without the URL itself: it may hold a password.
    if (target === null) throw new PortcullisError('config_invalid', `store: write the URL as ${REDIS_URL_FORMS}`);
    this.#route = target.topology === 'Cluster' ? new ClusterRoute(target.endpoints) : null;
    this.#dialled = target.endpoints[0]!;
    this.#pending = new PendingCalls(options.timeoutMs, {
      onTimeout: () => {
        if (this.#state !== 'opening') this.fail('time-out');
      },
      onLateAnswer: () => this.#beat(),
    });
    this.opened = new Promise((resolve) => {
      this.#markOpened = resolve;
    });
    setTimeout(() => {
      if (this.#state === 'opening') this.fail('time-out');
    }, CONNECT_TIMEOUT_MS).unref();
    this.#client = new Redis({
      ...clientOptions(target, options.ca),
      retryStrategy: (attempt) => (this.#route === null ? backoffMs(attempt) : this.#redirect(this.#route)),
    });
    this.#client.on('ready', () => this.#beat());
    this.#client.on('error', (error: unknown) => this.fail(causeOf(error)));
    this.#client.on('close', () => {
      if (this.#state !== 'opening' || !this.#redirecting) this.fail('connection closed');
      this.#redirecting = false;
    });
    this.#dial();
    this.#schedule(PROBE_MIN_MS);
  }

  get state(): 'opening' | 'available' | 'unavailable' | 'closed' {
    return this.#state;
  }

  /** Identifies the counters' life in Redis. */
  get epoch(): string {
    return this.#epoch;
  }

  /** How often the epoch was seen to change: the counters were lost that many times. */
  get epochChanges(): number {
    return this.#epochChanges;
  }

  /** Processes last seen, this one included. */
  get replicas(): number {
    return this.#replicas.value;
  }

  /** Sends one command; `settle` is called exactly once. Only while available. */
  call(name: string, args: (string | number)[], settle: Settle): void {
    this.#corkUntilTickEnds();
    const answer = this.#pending.add(settle);
    const route = this.#route;
    this.#client.sendCommand(
      new Command(
        name,
        args,
        UTF8,
        route === null ? answer : (error, reply) => this.#routed(route, answer, error, reply),
      ),
    );
  }

  /** Marks the store unavailable, settles every call as unanswered and begins to probe. */
  fail(cause: string): void {
    if (this.#state === 'unavailable' || this.#state === 'closed') return;
    this.#state = 'unavailable';
    this.#failedProbes = 0;
    this.#pending.settleAll();
    this.#schedule(PROBE_MIN_MS);
    this.#options.onStateChange(false, cause);
    this.#markOpened();
  }

  async close(): Promise<void> {
    const wasAvailable = this.#state === 'available';
    this.#state = 'closed';
    this.#markOpened();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (wasAvailable) {
      const { replicasKey, replica } = this.#options;
      await new Promise<void>((resolve) => this.call('zrem', [replicasKey, replica], () => resolve()));
    }
    this.#pending.settleAll();
    this.#client.disconnect();
  }

  /** One write for all calls of a tick: at 16 calls at once it took the cost of a call from 16 to 9 µs. */
  #corkUntilTickEnds(): void {
    const { stream } = this.#client;
    if (this.#corked || stream === undefined) return;
    this.#corked = true;
    stream.cork();
    process.nextTick(() => {
      this.#corked = false;
      stream.uncork();
    });
  }

  /** What a cluster says of slots is no answer to the call: it goes unanswered. */
  #routed(route: ClusterRoute, answer: Settle, error: Error | null | undefined, reply: unknown): void {
    const message = error?.message ?? '';
    if (isMigrating(message)) {
      answer(undefined, undefined);
    } else if (route.follows(message, this.#dialled)) {
      this.#redirecting = true;
      this.#client.disconnect(true);
      // To be sent elsewhere at first is no failure.
      if (this.#state === 'opening') answer(undefined, undefined);
      else answer(error, reply);
    } else {
      answer(error, reply);
    }
  }

  /** Says whom to dial next, and returns when, in milliseconds from now. */
  #redirect(route: ClusterRoute): number {
    const { endpoint, atOnce } = route.next();
    this.#dialled = endpoint;
    Object.assign(this.#client.options, endpoint);
    // Nodes that send each other's callers in a circle must not be dialled without end.
    return atOnce && this.#redirects++ < REDIRECTS_AT_ONCE ? 0 : backoffMs(Math.max(1, this.#failedProbes));
  }

  #dial(): void {
    // The outcome arrives as an event.
    this.#client.connect().catch(() => {});
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), delayMs);
    this.#timer.unref();
  }

  #tick(): void {
    const { status } = this.#client;
    if (this.#state === 'unavailable') {
      this.#failedProbes++;
      if (status === 'end') this.#dial();
      else if (this.#failedProbes % PROBES_PER_CONNECTION === 0 && (status === 'ready' || status === 'connect')) {
        this.#client.disconnect(true);
      }
      this.#schedule(backoffMs(this.#failedProbes));
    }
    if (status === 'ready') this.#beat();
    if (this.#state === 'opening') this.#schedule(PROBE_MIN_MS);
  }

  /** The heartbeat is the probe too: when it is answered everything that a request needs works. */
  #beat(): void {
    if (this.#beating || this.#state === 'closed') return;
    this.#beating = true;
    const { epochKey, replicasKey, replica } = this.#options;
    const args = [HEARTBEAT_SCRIPT, 2, epochKey, replicasKey, replica, ALIVE_MS, EPOCH_TTL_MS];
    this.call('eval', args, (error, reply) => {
      this.#beating = false;
      if (this.#state === 'closed') return;
      if (error instanceof Error) this.fail(causeOf(error));
      else if (isHeartbeat(reply)) this.#alive(reply[0], reply[1]);
      // Its slot is on its way to another node.
      else if (this.#state === 'available') this.#schedule(PROBE_MAX_MS);
    });
  }

  #alive(epoch: string, replicas: number): void {
    this.#replicas.seen(replicas);
    this.#redirects = 0;
    const lost = this.#epoch !== '' && this.#epoch !== epoch;
    if (lost) this.#epochChanges++;
    this.#epoch = epoch;
    this.#schedule(HEARTBEAT_MS);
    if (this.#state === 'available') return;
    this.#state = 'available';
    this.#options.onStateChange(true, lost ? 'answers again, counters lost' : 'answers');
    this.#markOpened();
  }
}

/** 100 ms, doubled with each attempt, at most 1 s. */
function backoffMs(attempt: number): number {
  return Math.min(PROBE_MIN_MS * 2 ** (attempt - 1), PROBE_MAX_MS);
}

function isHeartbeat(reply: unknown): reply is [string, number] {
  return Array.isArray(reply) && typeof reply[0] === 'string' && typeof reply[1] === 'number';
}

/** A code only: an error's message or command may hold the address or the password. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'error';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return /^[A-Z]{3,20}(?= )/.exec(error.message)?.[0] ?? 'connection closed';
}

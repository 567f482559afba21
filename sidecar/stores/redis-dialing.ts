import type { RedisOptions } from 'ioredis';
import type { RedisEndpoint, RedisTarget } from '../../policy/evaluate/redis-url.ts';

const CONNECT_TIMEOUT_MS = 1000;
const DISCONNECT_TIMEOUT_MS = 100;

/** Settings of a client that dials a target: it never queues, resends or retries a command by itself. */
export function clientOptions(target: RedisTarget, ca: string | undefined) {
  const { topology, tls, username, password, database, endpoints, primaryName } = target;
  const trust = tls ? (ca === undefined ? {} : { ca }) : undefined;
  const [first] = endpoints;
  return {
    ...(topology === 'Sentinel'
      ? {
          sentinels: endpoints.map(({ host, port }) => ({ host, port })),
          name: primaryName,
          // All of them failed: the connection begins anew, with its own waiting times.
          sentinelRetryStrategy: () => null,
          sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
          failoverDetector: true,
          ...(trust !== undefined && { sentinelTLS: trust, enableTLSForSentinelMode: true }),
        }
      : { host: first!.host, port: first!.port }),
    ...(trust !== undefined && { tls: trust }),
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
    db: database,
    enableOfflineQueue: false,
    // The heartbeat says whether it is ready, and needs no right to INFO.
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    disableClientInfo: true,
    lazyConnect: true,
  } satisfies RedisOptions;
}

/**
 * Which node of a cluster to dial. All keys of a connection are in one slot, so that one node has them; whichever is dialled tells with
 * MOVED which one that is (Redis cluster specification, "MOVED redirection").
 */
export class ClusterRoute {
  readonly #seeds: readonly RedisEndpoint[];
  #seed = 0;
  #moved: RedisEndpoint | null = null;

  constructor(seeds: readonly RedisEndpoint[]) {
    this.#seeds = seeds;
  }

  /** Takes an error reply; true: it names another node, to be dialled next. `from`: the node that answered. */
  follows(message: string, from: RedisEndpoint): boolean {
    const found = /^MOVED \d+ (.*):(\d+)$/.exec(message);
    if (found === null) return false;
    // Without a host it is the one that was asked (Redis 7, cluster-preferred-endpoint-type unknown-endpoint).
    this.#moved = { host: found[1] === '' ? from.host : found[1]!, port: Number(found[2]) };
    return true;
  }

  /** Where to dial, and whether at once: the node that MOVED named, else the next one of those in the URL. */
  next(): { readonly endpoint: RedisEndpoint; readonly atOnce: boolean } {
    const moved = this.#moved;
    this.#moved = null;
    if (moved !== null) return { endpoint: moved, atOnce: true };
    this.#seed = (this.#seed + 1) % this.#seeds.length;
    return { endpoint: this.#seeds[this.#seed]!, atOnce: false };
  }
}

/** Whether an error reply says that a slot is on its way to another node: it concerns the call, not the connection. */
export function isMigrating(message: string): boolean {
  return message.startsWith('ASK ') || message.startsWith('TRYAGAIN');
}

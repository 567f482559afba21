import type { StoreConfig } from '../../policy/bundle/types.ts';
import { parseRedisUrl } from '../../policy/evaluate/redis-url.ts';
import { RedisConnection } from './redis-connection.ts';

/** What the connections of all groups have in common. */
export interface RedisConnectionsOptions {
  /** Name of this process among the replicas; unique. */
  readonly replica: string;
  readonly timeoutMs: number;
  /** As OnStateChange; `group`: whose connection. */
  readonly onStateChange: (available: boolean, cause: string, group: string) => void;
}

/**
 * A connection for each group of keys. Outside of a cluster it is one and the same for all; in a cluster each group has its own, to the
 * node with its slot, so that losing a node concerns only the groups there.
 */
export class RedisConnections {
  readonly #config: StoreConfig;
  readonly #first: RedisConnection;
  readonly #options: RedisConnectionsOptions;
  readonly #byGroup: Map<string, RedisConnection>;
  readonly #isCluster: boolean;

  /** `first`: the connection of `group`, which is not closed here. */
  constructor(config: StoreConfig, first: RedisConnection, group: string, options: RedisConnectionsOptions) {
    this.#config = config;
    this.#first = first;
    this.#options = options;
    this.#byGroup = new Map([[group, first]]);
    this.#isCluster = parseRedisUrl(config.redisUrl)?.topology === 'Cluster';
  }

  /** The connection for keys with the hash tag `{group}`. */
  of(group: string): RedisConnection {
    if (!this.#isCluster) return this.#first;
    const connection = this.#byGroup.get(group) ?? this.#open(group);
    this.#byGroup.set(group, connection);
    return connection;
  }

  async close(): Promise<void> {
    const own = [...this.#byGroup.values()].filter((connection) => connection !== this.#first);
    await Promise.all(own.map((connection) => connection.close()));
  }

  #open(group: string): RedisConnection {
    const { replica, timeoutMs, onStateChange } = this.#options;
    return new RedisConnection({
      ...this.#config,
      replica,
      timeoutMs,
      epochKey: `portcullis:{${group}}:epoch`,
      replicasKey: `portcullis:{${group}}:replicas`,
      onStateChange: (available, cause) => onStateChange(available, cause, group),
    });
  }
}

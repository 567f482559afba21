import type { Mode, StoreConfig } from '../../policy/bundle/types.ts';
import type { BlockStore } from './blocks.ts';
import { MemoryBlocks } from './blocks-memory.ts';
import type { RedisBlocks } from './blocks-redis.ts';
import type { LimiterStore } from './limiter-store.ts';
import { MemoryStore } from './memory-store.ts';
import type { NonceStore } from './nonces.ts';
import { MemoryNonces } from './nonces-memory.ts';
import type { OnStateChange } from './redis-connection.ts';
import type { RefreshTokenStore } from './refresh-tokens.ts';
import { MemoryRefreshTokens } from './refresh-tokens-memory.ts';
import type { RevocationStore } from './revocations.ts';
import { MemoryRevocations } from './revocations-memory.ts';
import type { RedisRevocations } from './revocations-redis.ts';
import { MemoryWebSocketSessions, type WebSocketSessions } from './websocket-sessions.ts';
import type { RedisWebSocketSessions } from './websocket-sessions-redis.ts';

const DEFAULT_TIMEOUT_MS = 20;

/** What the stores must know besides their configuration. */
export interface OpenStoresOptions {
  /** The namespace/name of the policies; processes of one group share what is stored under its name. */
  readonly groups: {
    /** Of the AccessPolicy: refresh tokens. */
    readonly access: string;
    /** Of the RateLimitPolicy: counters; where there is none, the AccessPolicy's. */
    readonly limits: string;
  };
  /** Name of this process among the replicas; unique. */
  readonly replica: string;
  /** A token revoked elsewhere is refused here after at most this long, in milliseconds. */
  readonly maxStalenessMs: number;
  /** The most that a call may add to a request; default 20. */
  readonly timeoutMs?: number;
  /** Called when the shared store begins or ceases to answer; not called for stores in memory. */
  readonly onStateChange?: OnStateChange;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** All that a sidecar remembers beyond one request, on one connection or in memory. */
export interface Stores {
  /** Whether other processes see it too. */
  readonly shared: boolean;
  readonly limiter: LimiterStore;
  readonly refreshTokens: RefreshTokenStore;
  /** The revocations of one issuer, always the same for the same name: the namespace/name of its key set. */
  revocationsOf(issuer: string): RevocationStore;
  /** The nonces of signed requests, always the same for the same namespace/name of the Secret that holds the clients. */
  noncesOf(secret: string): NonceStore;
  /** Open WebSockets by user, counted for the RateLimitPolicy; opened when first asked for. */
  websocketSessions(): WebSocketSessions;
  /** Offences and measures of the RateLimitPolicy, opened when first asked for; those counted in Shadow are apart. */
  blocksOf(mode: Mode): BlockStore;
  close(): Promise<void>;
}

/**
 * Opens the stores that a policy names, or some in memory; connects in the background. The Redis client is loaded only where a
 * policy names a Redis: it takes 25 MB. Rejects with PortcullisError `config_invalid` for a URL that `parseRedisUrl` does not take.
 */
export async function openStores(config: StoreConfig | null, options: OpenStoresOptions): Promise<Stores> {
  if (config === null) return memoryStores();
  const [
    { RedisStore },
    { RedisRefreshTokens },
    { RedisRevocations },
    { RedisBlocks },
    { RedisNonces },
    { RedisWebSocketSessions },
    { RedisConnections },
  ] = await Promise.all([
    import('./redis-store.ts'),
    import('./refresh-tokens-redis.ts'),
    import('./revocations-redis.ts'),
    import('./blocks-redis.ts'),
    import('./nonces-redis.ts'),
    import('./websocket-sessions-redis.ts'),
    import('./redis-connections.ts'),
  ]);
  const { groups, replica, maxStalenessMs, timeoutMs = DEFAULT_TIMEOUT_MS, onStateChange, now } = options;
  const limiter = new RedisStore({
    ...config,
    group: groups.limits,
    replica,
    timeoutMs,
    onStateChange: (available, cause) => {
      // A new connection may lead to another server.
      if (available) for (const each of [...revocations.all(), ...blocks.all(), ...sessions.all()]) each.suspect();
      onStateChange?.(available, cause);
    },
  });
  const { connection } = limiter;
  // In a cluster each group has a connection of its own, to the node that has its keys.
  const connections = new RedisConnections(config, connection, groups.limits, {
    replica,
    timeoutMs,
    onStateChange: (available, cause, group) => {
      if (available) for (const [name, each] of revocations.entries()) if (name === group) each.suspect();
      onStateChange?.(available, cause);
    },
  });
  const revocations = perName<RedisRevocations, string>(
    (group) => new RedisRevocations({ connection: connections.of(group), group, replica, maxStalenessMs, now }),
  );
  const blocks = perName<RedisBlocks, Mode>(
    (mode) => new RedisBlocks({ connection, group: groups.limits, shadow: mode === 'Shadow', replica, now }),
  );
  const sessions = perName<RedisWebSocketSessions, 'all'>(
    () => new RedisWebSocketSessions({ connection, group: groups.limits, replica }),
  );
  return {
    shared: true,
    limiter,
    refreshTokens: new RedisRefreshTokens({ connection: connections.of(groups.access), group: groups.access }),
    revocationsOf: revocations.get,
    noncesOf: perName<NonceStore, string>((group) => new RedisNonces({ connection: connections.of(group), group })).get,
    websocketSessions: () => sessions.get('all'),
    blocksOf: blocks.get,
    close: async () => {
      for (const each of [...revocations.all(), ...blocks.all(), ...sessions.all()]) each.close();
      await Promise.all([limiter.close(), connections.close()]);
    },
  };
}

/** Stores in the memory of this process. */
export function memoryStores(): Stores {
  const sessions = new MemoryWebSocketSessions();
  return {
    shared: false,
    limiter: new MemoryStore(),
    refreshTokens: new MemoryRefreshTokens(),
    revocationsOf: perName<RevocationStore, string>(() => new MemoryRevocations()).get,
    noncesOf: perName<NonceStore, string>(() => new MemoryNonces()).get,
    websocketSessions: () => sessions,
    blocksOf: perName<BlockStore, Mode>(() => new MemoryBlocks()).get,
    close: async () => {},
  };
}

function perName<Store, Name extends string>(open: (name: Name) => Store) {
  const stores = new Map<Name, Store>();
  return {
    all: () => stores.values(),
    entries: () => stores.entries(),
    get: (name: Name): Store => {
      const store = stores.get(name) ?? open(name);
      stores.set(name, store);
      return store;
    },
  };
}

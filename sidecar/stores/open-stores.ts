import type { StoreConfig } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { LimiterStore } from './limiter-store.ts';
import { MemoryStore } from './memory-store.ts';
import type { OnStateChange } from './redis-connection.ts';
import type { RefreshTokenStore } from './refresh-tokens.ts';
import { MemoryRefreshTokens } from './refresh-tokens-memory.ts';
import type { RevocationStore } from './revocations.ts';
import { MemoryRevocations } from './revocations-memory.ts';
import type { RedisRevocations } from './revocations-redis.ts';

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
  readonly limiter: LimiterStore;
  readonly refreshTokens: RefreshTokenStore;
  /** The revocations of one issuer, always the same for the same name: the namespace/name of its key set. */
  revocationsOf(issuer: string): RevocationStore;
  close(): Promise<void>;
}

/**
 * Opens the stores that a policy names, or some in memory; connects in the background. The Redis client is loaded only where a
 * policy names a Redis: it takes 25 MB. Rejects with PortcullisError `config_invalid` for a URL that is not `redis://` or `rediss://`.
 */
export async function openStores(config: StoreConfig | null, options: OpenStoresOptions): Promise<Stores> {
  if (config === null) return memoryStores();
  checkRedisUrl(config);
  const [{ RedisStore }, { RedisRefreshTokens }, { RedisRevocations }] = await Promise.all([
    import('./redis-store.ts'),
    import('./refresh-tokens-redis.ts'),
    import('./revocations-redis.ts'),
  ]);
  const { groups, replica, maxStalenessMs, timeoutMs = DEFAULT_TIMEOUT_MS, onStateChange, now } = options;
  const limiter = new RedisStore({
    redisUrl: config.redisUrl,
    group: groups.limits,
    replica,
    timeoutMs,
    onStateChange: (available, cause) => {
      // A new connection may lead to another server.
      if (available) for (const each of revocations.all()) each.suspect();
      onStateChange?.(available, cause);
    },
  });
  const { connection } = limiter;
  const revocations = perIssuer<RedisRevocations>(
    (issuer) => new RedisRevocations({ connection, group: issuer, replica, maxStalenessMs, now }),
  );
  return {
    limiter,
    refreshTokens: new RedisRefreshTokens({ connection, group: groups.access }),
    revocationsOf: revocations.get,
    close: async () => {
      for (const each of revocations.all()) each.close();
      await limiter.close();
    },
  };
}

/** Stores in the memory of this process. */
export function memoryStores(): Stores {
  return {
    limiter: new MemoryStore(),
    refreshTokens: new MemoryRefreshTokens(),
    revocationsOf: perIssuer(() => new MemoryRevocations()).get,
    close: async () => {},
  };
}

/** Throws PortcullisError `config_invalid` for a URL that is not `redis://` or `rediss://`, without showing it. */
function checkRedisUrl(config: StoreConfig): void {
  const url = URL.parse(config.redisUrl);
  if (url === null || url.hostname === '' || (url.protocol !== 'redis:' && url.protocol !== 'rediss:')) {
    // Without the URL itself: it may hold a password.
    throw new PortcullisError(
      'config_invalid',
      'store: write the URL as redis://HOST:PORT or, for TLS, rediss://HOST:PORT',
    );
  }
}

function perIssuer<Store>(open: (issuer: string) => Store) {
  const stores = new Map<string, Store>();
  return {
    all: () => stores.values(),
    get: (issuer: string): Store => {
      const store = stores.get(issuer) ?? open(issuer);
      stores.set(issuer, store);
      return store;
    },
  };
}

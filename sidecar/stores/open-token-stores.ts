import type { StoreConfig } from '../../policy/bundle/types.ts';
import { checkRedisUrl } from './open-store.ts';
import type { OnStateChange } from './redis-connection.ts';
import type { RefreshTokenStore } from './refresh-tokens.ts';
import { MemoryRefreshTokens } from './refresh-tokens-memory.ts';
import type { RevocationStore } from './revocations.ts';
import { MemoryRevocations } from './revocations-memory.ts';
import type { RedisRevocations } from './revocations-redis.ts';

const DEFAULT_TIMEOUT_MS = 20;

/** What the stores must know besides their configuration. */
export interface OpenTokenStoresOptions {
  /** The namespace/name of the policy: whose refresh tokens. */
  readonly group: string;
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

/** Where tokens are remembered, on one connection. */
export interface TokenStores {
  readonly refreshTokens: RefreshTokenStore;
  /** The revocations of one issuer, always the same for the same name: the namespace/name of its key set. */
  revocationsOf(issuer: string): RevocationStore;
  close(): Promise<void>;
}

/**
 * Opens the stores that a policy names, or some in memory; connects in the background. Rejects with PortcullisError `config_invalid`
 * for a URL that is not `redis://` or `rediss://`.
 */
export async function openTokenStores(
  config: StoreConfig | null,
  options: OpenTokenStoresOptions,
): Promise<TokenStores> {
  if (config === null) {
    const revocationsOf = perIssuer(() => new MemoryRevocations()).get;
    return { refreshTokens: new MemoryRefreshTokens(), revocationsOf, close: async () => {} };
  }
  checkRedisUrl(config);
  const [{ RedisConnection }, { RedisRefreshTokens }, { RedisRevocations }] = await Promise.all([
    import('./redis-connection.ts'),
    import('./refresh-tokens-redis.ts'),
    import('./revocations-redis.ts'),
  ]);
  const { group, replica, maxStalenessMs, timeoutMs = DEFAULT_TIMEOUT_MS, onStateChange, now } = options;
  const revocations = perIssuer<RedisRevocations>(
    (issuer) => new RedisRevocations({ connection, group: issuer, replica, maxStalenessMs, now }),
  );
  const prefix = `portcullis:{${group}}:tokens:`;
  const connection = new RedisConnection({
    redisUrl: config.redisUrl,
    replica,
    epochKey: `${prefix}epoch`,
    replicasKey: `${prefix}replicas`,
    timeoutMs,
    onStateChange: (available, cause) => {
      // A new connection may lead to another server.
      if (available) for (const each of revocations.all()) each.suspect();
      onStateChange?.(available, cause);
    },
  });
  return {
    refreshTokens: new RedisRefreshTokens({ connection, group }),
    revocationsOf: revocations.get,
    close: async () => {
      for (const each of revocations.all()) each.close();
      await connection.close();
    },
  };
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

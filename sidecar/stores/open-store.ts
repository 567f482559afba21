import type { StoreConfig } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { LimiterStore } from './limiter-store.ts';
import { MemoryStore } from './memory-store.ts';
import type { OnStateChange } from './redis-connection.ts';

/** What a store must know besides its configuration. */
export interface OpenStoreOptions {
  /** Processes with the same group share counters: the namespace/name of the policy. */
  readonly group: string;
  /** Name of this process among the replicas; unique. */
  readonly replica: string;
  /** The most that a call may add to a request; default 20. */
  readonly timeoutMs?: number;
  /** Called when a shared store begins or ceases to answer; not called for a store in memory. */
  readonly onStateChange?: OnStateChange;
}

/**
 * Opens the store that a policy names, or one in memory; connects in the background. The Redis client is loaded only where a
 * policy names a Redis: it takes 25 MB. Rejects with PortcullisError `config_invalid` for a URL that is not `redis://` or `rediss://`.
 */
export async function openStore(config: StoreConfig | null, options: OpenStoreOptions): Promise<LimiterStore> {
  if (config === null) return new MemoryStore();
  checkRedisUrl(config);
  const { RedisStore } = await import('./redis-store.ts');
  return new RedisStore({ ...options, redisUrl: config.redisUrl });
}

/** Throws PortcullisError `config_invalid` for a URL that is not `redis://` or `rediss://`, without showing it. */
export function checkRedisUrl(config: StoreConfig): void {
  const url = URL.parse(config.redisUrl);
  if (url === null || url.hostname === '' || (url.protocol !== 'redis:' && url.protocol !== 'rediss:')) {
    // Without the URL itself: it may hold a password.
    throw new PortcullisError(
      'config_invalid',
      'store: write the URL as redis://HOST:PORT or, for TLS, rediss://HOST:PORT',
    );
  }
}

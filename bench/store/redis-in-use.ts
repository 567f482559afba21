import { Redis } from 'ioredis';
import { RedisStore } from '../../sidecar/stores/redis-store.ts';
import { until } from '../../test/redis/redis-clients.ts';
import { RedisServer } from '../../test/redis/redis-server.ts';

const PATIENT_MS = 10_000;

/** A Redis with our store and the client of rate-limiter-flexible on it. */
export interface RedisInUse {
  readonly server: RedisServer;
  readonly store: RedisStore;
  readonly client: Redis;
}

/** Starts one, has `measure` use it, and removes it whatever comes. */
export async function withRedis<T>(measure: (inUse: RedisInUse) => Promise<T>): Promise<T> {
  const server = await RedisServer.start();
  const store = new RedisStore({
    redisUrl: server.url,
    group: 'bench/limits',
    replica: 'pod-0',
    timeoutMs: PATIENT_MS,
  });
  const client = new Redis(server.url);
  try {
    await until(() => store.available);
    return await measure({ server, store, client });
  } finally {
    client.disconnect();
    await store.close();
    await server.remove();
  }
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type OnStateChange, RedisConnection } from '../../sidecar/stores/redis-connection.ts';
import type { RedisServer } from './redis-server.ts';

const DEADLINE_MS = 20_000;

/** A connection as a sidecar has it; by default so patient that a busy machine does not look like a Redis that is away. */
export function connectionTo(
  { url }: RedisServer,
  replica: string,
  timeoutMs = 10_000,
  onStateChange: OnStateChange = () => {},
): RedisConnection {
  const [epochKey, replicasKey] = ['portcullis:{tokens}:epoch', 'portcullis:{tokens}:replicas'];
  return new RedisConnection({ redisUrl: url, replica, epochKey, replicasKey, timeoutMs, onStateChange });
}

/** Lends a plain client for what an administrator would do. */
export async function withAdmin<T>(server: RedisServer, use: (admin: Redis) => Promise<T>): Promise<T> {
  const admin = new Redis(server.url);
  try {
    return await use(admin);
  } finally {
    admin.disconnect();
  }
}

/** Waits for a condition; rejects after 20 s. */
export async function until<T>(condition: () => T | Promise<T>): Promise<T> {
  const deadline = Date.now() + DEADLINE_MS;
  for (;;) {
    const met = await condition();
    if (met) return met;
    if (Date.now() > deadline) throw new Error('the condition was not met in time');
    await sleep(5);
  }
}

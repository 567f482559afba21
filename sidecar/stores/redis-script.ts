import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { causeOf, type RedisConnection } from './redis-connection.ts';

/** A call on a connection that is still being opened waits for it, but not for long. */
const OPENING_MS = 20;

/**
 * One Lua script on a connection: EVALSHA, and EVAL where Redis does not know it yet. Never rejects: undefined when Redis does not
 * answer in time or answers with an error, which marks the connection unavailable.
 */
export class RedisScript {
  readonly #connection: RedisConnection;
  readonly #script: string;
  readonly #sha: string;

  constructor(connection: RedisConnection, script: string) {
    this.#connection = connection;
    this.#script = script;
    this.#sha = createHash('sha1').update(script).digest('hex');
  }

  async run(keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const connection = this.#connection;
    if (connection.state === 'opening') {
      await Promise.race([connection.opened, setTimeout(OPENING_MS, undefined, { ref: false })]);
    }
    if (connection.state !== 'available') return undefined;
    const all = [keys.length, ...keys, ...args];
    return new Promise((resolve) => {
      const settle = (error: Error | null | undefined, reply: unknown): void => {
        if (error instanceof Error) connection.fail(causeOf(error));
        resolve(error instanceof Error ? undefined : reply);
      };
      connection.call('evalsha', [this.#sha, ...all], (error, reply) => {
        if (error?.message.startsWith('NOSCRIPT') === true && connection.state === 'available') {
          connection.call('eval', [this.#script, ...all], settle);
        } else {
          settle(error, reply);
        }
      });
    });
  }
}

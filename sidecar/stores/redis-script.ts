import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Settle } from './pending-calls.ts';
import { causeOf, type RedisConnection } from './redis-connection.ts';

/** A call on a connection that is still being opened waits for it, but not for long. */
const OPENING_MS = 20;
const TRY_AGAIN_MS = 50;

/** A Lua script as Redis knows it. */
export class LuaScript {
  readonly #text: string;
  readonly #sha: string;

  constructor(text: string) {
    this.#text = text;
    this.#sha = createHash('sha1').update(text).digest('hex');
  }

  /** EVALSHA, and EVAL where Redis does not know it yet. `args`: the number of keys, the keys, the arguments. Only while available. */
  call(connection: RedisConnection, args: readonly (string | number)[], settle: Settle): void {
    connection.call('evalsha', [this.#sha, ...args], (error, reply) => {
      if (error?.message.startsWith('NOSCRIPT') === true && connection.state === 'available') {
        connection.call('eval', [this.#text, ...args], settle);
      } else {
        settle(error, reply);
      }
    });
  }
}

/**
 * One Lua script on a connection: EVALSHA, and EVAL where Redis does not know it yet. Never rejects: undefined when Redis does not
 * answer in time or answers with an error, which marks the connection unavailable.
 */
export class RedisScript {
  readonly #connection: RedisConnection;
  readonly #script: LuaScript;

  constructor(connection: RedisConnection, script: string) {
    this.#connection = connection;
    this.#script = new LuaScript(script);
  }

  /**
   * As `run`, for what can wait: tries again for about `patienceMs` while Redis does not answer. An answer that came too late was a run too:
   * the script must bear being run twice.
   */
  async runPatiently(
    keys: readonly string[],
    args: readonly (string | number)[],
    patienceMs: number,
  ): Promise<unknown> {
    const until = performance.now() + patienceMs;
    for (;;) {
      const reply = await this.run(keys, args);
      if (reply !== undefined || this.#connection.state === 'closed' || performance.now() >= until) return reply;
      await setTimeout(TRY_AGAIN_MS);
    }
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
      this.#script.call(connection, all, settle);
    });
  }
}

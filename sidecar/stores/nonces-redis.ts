import { NONCE_SCRIPT } from './lua/nonces-script.ts';
import { mayPrecede, type NonceStore, type NonceUse, type NonceVerdict, nonceLifetimeMs } from './nonces.ts';
import type { RedisConnection } from './redis-connection.ts';
import { RedisScript } from './redis-script.ts';

/** Longer than clients stay away: one that comes back must not find that "nonces were lost". */
const EPOCH_TTL_MS = 365 * 24 * 3600 * 1000;

/** Settings of RedisNonces. */
export interface RedisNoncesOptions {
  readonly connection: RedisConnection;
  /** The namespace/name of the Secret that the clients are of: policies that share it refuse what another one has seen. */
  readonly group: string;
}

/**
 * Nonces in Redis, one key each that ends by itself. What this process finds to be lost (a flush, a failover to an empty server)
 * makes requests that may have been used before it `unknown`, until their timestamps are too old to be accepted anyway.
 */
export class RedisNonces implements NonceStore {
  readonly #script: RedisScript;
  readonly #prefix: string;
  /** Empty: Redis has not been asked yet, so that this process has admitted nothing. */
  #epoch = '';
  #lostAt = Number.NEGATIVE_INFINITY;

  constructor({ connection, group }: RedisNoncesOptions) {
    this.#script = new RedisScript(connection, NONCE_SCRIPT);
    this.#prefix = `portcullis:{${group}}:nonce:`;
    void connection.opened.then(() => this.#run([], 0)).then((reply) => this.#seen(reply));
  }

  async use(nonce: NonceUse): Promise<NonceVerdict> {
    const reply = await this.#run([`${this.#prefix}${nonce.client}:${nonce.nonce}`], nonceLifetimeMs(nonce));
    if (!isReply(reply)) return 'unknown';
    this.#seen(reply);
    if (reply[1] === 0) return 'used';
    return mayPrecede(nonce, this.#lostAt) ? 'unknown' : 'new';
  }

  #run(nonce: readonly string[], lifetimeMs: number): Promise<unknown> {
    return this.#script.run([`${this.#prefix}epoch`, ...nonce], [lifetimeMs, EPOCH_TTL_MS]);
  }

  #seen(reply: unknown): void {
    if (!isReply(reply)) return;
    // An epoch says when it began, by the clock of Redis.
    if (this.#epoch !== '' && this.#epoch !== reply[0]) this.#lostAt = Number.parseFloat(reply[0]) * 1_000;
    this.#epoch = reply[0];
  }
}

function isReply(reply: unknown): reply is [epoch: string, isNew: number] {
  return Array.isArray(reply) && typeof reply[0] === 'string' && typeof reply[1] === 'number';
}

import type { ScriptClock } from './lua/consume-script.ts';
import { BEGIN_SCRIPT, COUNT_SCRIPT, REVOKE_SCRIPT, ROTATE_SCRIPT } from './lua/refresh-tokens-script.ts';
import type { RedisConnection } from './redis-connection.ts';
import { RedisScript } from './redis-script.ts';
import {
  MAX_LINKS,
  type RefreshSession,
  type RefreshTokenStore,
  type Rotation,
  type Successor,
} from './refresh-tokens.ts';

/** A log-in can wait, and is worth it: the user would have to repeat it. */
const PATIENCE_MS = 1_000;

/** Settings of RedisRefreshTokens. */
export interface RedisRefreshTokensOptions {
  readonly connection: RedisConnection;
  /** Processes with the same group know the same families: the namespace/name of the policy. */
  readonly group: string;
  /** `caller` counts by the `now` of each call, for tests; default `server`. */
  readonly clock?: ScriptClock;
}

/** Families in Redis, one key each, with a time to live. When Redis loses them their users log in again. */
export class RedisRefreshTokens implements RefreshTokenStore {
  readonly #begin: RedisScript;
  readonly #rotate: RedisScript;
  readonly #revoke: RedisScript;
  readonly #count: RedisScript;
  readonly #ends: string;
  readonly #keyPrefix: string;
  readonly #callerClock: boolean;

  constructor({ connection, group, clock = 'server' }: RedisRefreshTokensOptions) {
    this.#begin = new RedisScript(connection, BEGIN_SCRIPT);
    this.#rotate = new RedisScript(connection, ROTATE_SCRIPT);
    this.#revoke = new RedisScript(connection, REVOKE_SCRIPT);
    this.#count = new RedisScript(connection, COUNT_SCRIPT);
    this.#ends = `portcullis:{${group}}:refresh-ends`;
    this.#keyPrefix = `portcullis:{${group}}:refresh:`;
    this.#callerClock = clock === 'caller';
  }

  async begin(
    family: string,
    hash: string,
    session: RefreshSession,
    lifetimeMs: number,
    now: number,
  ): Promise<boolean> {
    const args = [hash, JSON.stringify(session), lifetimeMs, family, this.#clock(now)];
    return (await this.#begin.runPatiently(this.#keys(family), args, PATIENCE_MS)) === 1;
  }

  async rotate(family: string, hash: string, successor: Successor, graceMs: number, now: number): Promise<Rotation> {
    const args = [hash, successor.salt, successor.hash, graceMs, MAX_LINKS, family, this.#clock(now)];
    // Within the grace a second run finds the successor that the first one made; after it, it would end the family.
    const patienceMs = graceMs < 2 * PATIENCE_MS ? 0 : PATIENCE_MS;
    const reply = await this.#rotate.runPatiently(this.#keys(family), args, patienceMs);
    if (!Array.isArray(reply)) return { kind: 'Unavailable' };
    const [text, expiresInMs, ...salts] = reply;
    if (text === undefined) return { kind: 'Unknown' };
    const session = parseSession(text);
    if (session === null) return { kind: 'Unknown' };
    return salts.length === 0 ? { kind: 'Reused', session } : { kind: 'Rotated', session, salts, expiresInMs };
  }

  async revoke(family: string): Promise<boolean> {
    return (await this.#revoke.runPatiently(this.#keys(family), [family], PATIENCE_MS)) === 1;
  }

  async count(now: number): Promise<number | null> {
    const living = await this.#count.run([this.#ends], [this.#clock(now)]);
    return typeof living === 'number' ? living : null;
  }

  #keys(family: string): readonly string[] {
    return [this.#keyPrefix + family, this.#ends];
  }

  #clock(now: number): number | '' {
    return this.#callerClock ? now : '';
  }
}

/** Null for what none of us wrote. */
function parseSession(text: string): RefreshSession | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

import { OPEN_SESSION_SCRIPT, REFRESH_SESSIONS_SCRIPT } from './lua/websocket-sessions-script.ts';
import type { RedisConnection } from './redis-connection.ts';
import { RedisScript } from './redis-script.ts';
import { LocalSessions, type WebSocketSession, type WebSocketSessions } from './websocket-sessions.ts';

const REFRESH_MS = 10_000;
/** A place outlives the process that took it by at most this long. */
const KEEP_MS = 3 * REFRESH_MS;
/** Sessions refreshed by one call; Redis is not blocked for longer than these take. */
const PAGE = 500;

/** Settings of RedisWebSocketSessions. */
export interface RedisWebSocketSessionsOptions {
  readonly connection: RedisConnection;
  /** Processes with the same group share the users' places: the namespace/name of the policy. */
  readonly group: string;
  /** Name of this process among the replicas; unique. */
  readonly replica: string;
  /** Default 10 s; a place is kept for three times as long. */
  readonly refreshMs?: number;
}

/**
 * A sorted set for each user in Redis, each place with an end that its process puts off while the WebSocket is open. While Redis does
 * not answer, each process gives out its share of the limit: divided by the processes last seen, rounded down, at least 1.
 */
export class RedisWebSocketSessions implements WebSocketSessions {
  readonly #connection: RedisConnection;
  readonly #open: RedisScript;
  readonly #refresh: RedisScript;
  readonly #keyPrefix: string;
  readonly #replica: string;
  readonly #keepMs: number;
  readonly #local = new LocalSessions();
  readonly #timer: NodeJS.Timeout;
  #number = 0;

  constructor({ connection, group, replica, refreshMs = REFRESH_MS }: RedisWebSocketSessionsOptions) {
    this.#connection = connection;
    this.#open = new RedisScript(connection, OPEN_SESSION_SCRIPT);
    this.#refresh = new RedisScript(connection, REFRESH_SESSIONS_SCRIPT);
    this.#keyPrefix = `portcullis:{${group}}:websockets:`;
    this.#replica = replica;
    this.#keepMs = (refreshMs / REFRESH_MS) * KEEP_MS;
    this.#timer = setInterval(() => void this.refresh(), refreshMs);
    this.#timer.unref();
  }

  async open(user: string, limit: number): Promise<WebSocketSession | null> {
    const id = `${this.#replica}:${this.#number++}`;
    const key = this.#keyPrefix + user;
    // Before it is asked for, so that none of this process's own is forgotten in a share.
    const here = this.#local.count(user);
    this.#local.add(user, id);
    const reply = await this.#open.run([key], [id, limit, this.#keepMs]);
    const share = Math.max(1, Math.floor(limit / this.#connection.replicas));
    if (reply === 1 || (reply === undefined && here < share)) return { close: () => this.#close(user, id) };
    this.#local.delete(user, id);
    return null;
  }

  /** Tells Redis what is open here; also what it has lost. */
  async refresh(): Promise<void> {
    let keys: string[] = [];
    let args: (string | number)[] = [this.#keepMs];
    for (const [user, ids] of [...this.#local.entries()]) {
      keys.push(this.#keyPrefix + user);
      args.push(ids.size, ...ids);
      if (args.length < PAGE) continue;
      await this.#refresh.run(keys, args);
      keys = [];
      args = [this.#keepMs];
    }
    if (keys.length > 0) await this.#refresh.run(keys, args);
  }

  /** Redis may have lost what it had. */
  suspect(): void {
    void this.refresh();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #close(user: string, id: string): void {
    this.#local.delete(user, id);
    // Unanswered, the place expires.
    if (this.#connection.state === 'available') this.#connection.call('zrem', [this.#keyPrefix + user, id], () => {});
  }
}

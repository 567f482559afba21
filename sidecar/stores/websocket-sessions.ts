/** One open WebSocket among those of its user. */
export interface WebSocketSession {
  /** Gives its place back; once. */
  close(): void;
}

/** Counts the open WebSockets of each user, over all processes that share the store. Never rejects. */
export interface WebSocketSessions {
  /** A place among the `limit` that a user has, or null when they are taken. A promise only where it must wait for a network. */
  open(user: string, limit: number): WebSocketSession | null | Promise<WebSocketSession | null>;
}

/** The open WebSockets of this process, by user. */
export class LocalSessions {
  readonly #byUser = new Map<string, Set<string>>();

  /** How many a user has here. */
  count(user: string): number {
    return this.#byUser.get(user)?.size ?? 0;
  }

  add(user: string, id: string): void {
    const sessions = this.#byUser.get(user);
    if (sessions === undefined) this.#byUser.set(user, new Set([id]));
    else sessions.add(id);
  }

  delete(user: string, id: string): void {
    const sessions = this.#byUser.get(user);
    sessions?.delete(id);
    if (sessions?.size === 0) this.#byUser.delete(user);
  }

  entries(): Iterable<readonly [user: string, ids: ReadonlySet<string>]> {
    return this.#byUser;
  }
}

/** Counts in the memory of this process. */
export class MemoryWebSocketSessions implements WebSocketSessions {
  readonly #local = new LocalSessions();
  #number = 0;

  open(user: string, limit: number): WebSocketSession | null {
    if (this.#local.count(user) >= limit) return null;
    const id = String(this.#number++);
    this.#local.add(user, id);
    return { close: () => this.#local.delete(user, id) };
  }
}

import { PUBLISH_SCRIPT, PULL_SCRIPT } from './lua/revocations-script.ts';
import type { RedisConnection } from './redis-connection.ts';
import { RedisScript } from './redis-script.ts';
import { type Revocation, RevocationView, revocationId } from './revocation-view.ts';
import type { RevocationStore, RevocationVerdict } from './revocations.ts';

/** Revocations read or written by one call; Redis is not blocked for longer than these take. */
const PAGE = 500;
/** Longer than any revocation that a reader could miss. */
const EPOCH_TTL_MS = 30 * 24 * 3600 * 1000;

/** Settings of RedisRevocations. */
export interface RedisRevocationsOptions {
  readonly connection: RedisConnection;
  /** Whose tokens: the namespace/name of the key set. Every policy that accepts its tokens must see the same revocations. */
  readonly group: string;
  /** Name of this process among the replicas; unique. */
  readonly replica: string;
  /** A token revoked elsewhere is refused here after at most this long, in milliseconds. */
  readonly maxStalenessMs: number;
  /** Revocations held at once; default 100,000. */
  readonly maxEntries?: number;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/**
 * Revocations in Redis, all of them held in memory too and brought up to date twice in every `maxStalenessMs`. After Redis lost some
 * (flush, restart, failover) or was away, this process writes back those that it holds: a loss un-revokes nothing that a running
 * process knows of.
 */
export class RedisRevocations implements RevocationStore {
  readonly #options: RedisRevocationsOptions;
  readonly #pull: RedisScript;
  readonly #publish: RedisScript;
  readonly #meta: string;
  readonly #byNumber: string;
  readonly #byEnd: string;
  readonly #view: RevocationView;
  /** What Redis has, while it is compared with the view; else null. */
  #stored: RevocationView | null = null;
  /** Empty: compare wholly. */
  #epoch = '';
  /** The last that was read. */
  #number = 0;
  /** The highest that Redis has told of: should it say less, it has lost some. */
  #highest = 0;
  /** performance.now() when the last complete update was asked for. */
  #syncedAt = Number.NEGATIVE_INFINITY;
  #syncing: Promise<void> | null = null;
  #timer: NodeJS.Timeout;

  constructor(options: RedisRevocationsOptions) {
    const { connection, group, maxEntries, maxStalenessMs } = options;
    this.#options = options;
    this.#pull = new RedisScript(connection, PULL_SCRIPT);
    this.#publish = new RedisScript(connection, PUBLISH_SCRIPT);
    const prefix = `portcullis:{${group}}:revoked:`;
    this.#meta = `${prefix}meta`;
    this.#byNumber = `${prefix}by-number`;
    this.#byEnd = `${prefix}by-end`;
    this.#view = new RevocationView(maxEntries);
    this.#timer = setInterval(() => void this.refresh(), maxStalenessMs / 2);
    this.#timer.unref();
    void this.refresh();
  }

  /** Revocations held now. */
  get size(): number {
    return this.#view.size;
  }

  revokeToken(jti: string, untilMs: number, now: number): Promise<boolean> {
    return this.#revoke({ id: revocationId(jti), until: untilMs, notBefore: null }, now);
  }

  revokeSubject(sub: string, notBeforeMs: number, untilMs: number, now: number): Promise<boolean> {
    return this.#revoke({ id: revocationId(sub), until: untilMs, notBefore: notBeforeMs }, now);
  }

  check(jti: string | null, sub: string | null, iatMs: number): RevocationVerdict {
    if (this.#view.isRevoked(jti, sub, iatMs)) return 'revoked';
    return performance.now() - this.#syncedAt <= this.#options.maxStalenessMs ? 'ok' : 'unknown';
  }

  refresh(): Promise<void> {
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = null;
    });
    return this.#syncing;
  }

  /** What Redis has may have changed behind our back (a new connection, which may lead to another server): compare wholly. */
  suspect(): void {
    this.#epoch = '';
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #revoke(revocation: Revocation, now: number): Promise<boolean> {
    this.#view.add(revocation, now);
    return this.#write([revocation]);
  }

  async #write(revocations: readonly Revocation[]): Promise<boolean> {
    const args: (string | number)[] = [this.#options.replica, EPOCH_TTL_MS];
    for (const revocation of revocations) args.push(encode(revocation), revocation.until);
    const number = await this.#publish.run([this.#meta, this.#byNumber, this.#byEnd], args);
    if (typeof number === 'number') this.#highest = Math.max(number, this.#highest);
    else this.suspect();
    return typeof number === 'number';
  }

  async #sync(): Promise<void> {
    const startedAt = performance.now();
    const now = this.#options.now();
    if (this.#view.prune(now)) this.suspect();
    for (let more = true; more; ) {
      const args = [this.#options.replica, EPOCH_TTL_MS, this.#number, PAGE];
      const page = decodePage(await this.#pull.run([this.#meta, this.#byNumber], args));
      if (page === null) return this.suspect();
      more = this.#take(page, now);
    }
    if (!(await this.#writeBack())) return;
    this.#syncedAt = this.#view.overflowed ? Number.NEGATIVE_INFINITY : startedAt;
  }

  /** True: there is more to ask for. */
  #take({ epoch, number, revocations }: Page, now: number): boolean {
    const changed = epoch !== this.#epoch || number < this.#highest;
    this.#highest = number;
    if (changed) {
      this.#epoch = epoch;
      this.#number = 0;
      this.#stored = new RevocationView(Number.POSITIVE_INFINITY);
      this.#view.forgetOverflow();
      return true;
    }
    for (const [revocation, at] of revocations) {
      this.#view.add(revocation, now);
      this.#stored?.add(revocation, now);
      this.#number = at;
    }
    return revocations.length === PAGE;
  }

  async #writeBack(): Promise<boolean> {
    const stored = this.#stored;
    if (stored === null) return true;
    const missing = [...this.#view.entries()].filter((revocation) => !stored.covers(revocation));
    for (let at = 0; at < missing.length; at += PAGE) {
      if (!(await this.#write(missing.slice(at, at + PAGE)))) return false;
    }
    this.#stored = null;
    return true;
  }
}

interface Page {
  readonly epoch: string;
  readonly number: number;
  readonly revocations: readonly (readonly [Revocation, number])[];
}

function encode({ id, until, notBefore }: Revocation): string {
  return JSON.stringify([id, until, notBefore]);
}

/** Null also for what none of us wrote: then nothing is known, rather than a part of it. */
function decodePage(reply: unknown): Page | null {
  if (!Array.isArray(reply)) return null;
  const [epoch, number, members]: [string, number, string[]] = reply as [string, number, string[]];
  const revocations: [Revocation, number][] = [];
  try {
    for (let i = 0; i < members.length; i += 2) {
      const [id, until, notBefore] = JSON.parse(members[i]!);
      revocations.push([{ id, until, notBefore }, Number(members[i + 1])]);
    }
  } catch {
    return null;
  }
  return { epoch, number, revocations };
}

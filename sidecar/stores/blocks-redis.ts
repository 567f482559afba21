import { BlockView, MAX_BLOCKS } from './block-view.ts';
import { type Block, type BlockStore, type Cleared, type Offence, REASONS, type Reason } from './blocks.ts';
import { MemoryBlocks } from './blocks-memory.ts';
import { KNOWN_ADDRESSES, KNOWN_MS } from './known-logins.ts';
import {
  CLEAR_SCRIPT,
  COUNT_SCRIPT,
  HAS_LOGGED_IN_SCRIPT,
  NOTE_LOGIN_SCRIPT,
  PUBLISH_SCRIPT,
  PULL_SCRIPT,
} from './lua/blocks-script.ts';
import type { RedisConnection } from './redis-connection.ts';
import { RedisScript } from './redis-script.ts';

/** Twice in the second after which every process knows of a measure. */
const SYNC_MS = 500;
const FREQUENT_MS = 100;
/** What one call reads or writes; Redis is not blocked for longer than this takes. */
const PAGE = 200;
const COUNT_PAGE = 50;
const CLEAR_PAGE = 50;
/** Subjects whose offences wait to be told; beyond them they are counted here alone. */
const MAX_PENDING = 20_000;
/** Longer than any measure that a reader could miss. */
const EPOCH_TTL_MS = 45 * 24 * 3600 * 1000;

/** Settings of RedisBlocks. */
export interface RedisBlocksOptions {
  readonly connection: RedisConnection;
  /** Processes with the same group share offences and measures: the namespace/name of the policy. */
  readonly group: string;
  /** What was counted in Shadow is kept apart: it must not refuse anybody when the policy begins to. */
  readonly shadow: boolean;
  /** Name of this process among the replicas; unique. */
  readonly replica: string;
  /** Measures held at once; default 20,000. */
  readonly maxBlocks?: number;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

interface Pending {
  readonly offence: Offence;
  readonly subject: string;
  amount: number;
}

/**
 * Offences counted in Redis, and all measures held in memory too, brought up to date twice a second. While Redis is away this process
 * counts by itself; what it held then, and what Redis lost meanwhile (flush, restart, failover), it writes back.
 */
export class RedisBlocks implements BlockStore {
  readonly #options: RedisBlocksOptions;
  readonly #view: BlockView;
  /** Counts while Redis is away, into the same view. */
  readonly #local: MemoryBlocks;
  readonly #keys: readonly string[];
  readonly #prefix: string;
  readonly #common: readonly (string | number)[];
  readonly #count: RedisScript;
  readonly #publish: RedisScript;
  readonly #clear: RedisScript;
  readonly #pull: RedisScript;
  readonly #noteLogin: RedisScript;
  readonly #hasLoggedIn: RedisScript;
  readonly #timer: NodeJS.Timeout;
  readonly #pending = new Map<string, Pending>();
  #flushing: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #flushingSoon = false;
  #syncing: Promise<boolean> | null = null;
  #epoch = '';
  /** Of the last change that the view has, and the highest that was ever seen. */
  #number = 0;
  #highest = 0;

  constructor(options: RedisBlocksOptions) {
    this.#options = options;
    const { connection, group, shadow, replica, maxBlocks = MAX_BLOCKS } = options;
    this.#view = new BlockView(maxBlocks);
    this.#local = new MemoryBlocks({ view: this.#view });
    // One hash tag: in a Redis Cluster a script can reach only one slot.
    this.#prefix = `portcullis:{${group}}:${shadow ? 'threats-shadow' : 'threats'}:`;
    this.#keys = ['meta', 'blocks', 'ends', 'log'].map((name) => this.#prefix + name);
    this.#common = [replica, EPOCH_TTL_MS, maxBlocks];
    this.#count = new RedisScript(connection, COUNT_SCRIPT);
    this.#publish = new RedisScript(connection, PUBLISH_SCRIPT);
    this.#clear = new RedisScript(connection, CLEAR_SCRIPT);
    this.#pull = new RedisScript(connection, PULL_SCRIPT);
    this.#noteLogin = new RedisScript(connection, NOTE_LOGIN_SCRIPT);
    this.#hasLoggedIn = new RedisScript(connection, HAS_LOGGED_IN_SCRIPT);
    this.#timer = setInterval(() => void this.refresh(), SYNC_MS);
    this.#timer.unref();
    void this.refresh();
  }

  get any(): boolean {
    return this.#view.size > 0;
  }

  find(measure: Block['measure'], subject: string, now: number): Block | undefined {
    return this.#view.find(measure, subject, now);
  }

  count(offence: Offence, subject: string, amount: number, now: number): void {
    const id = `${offence.reason} ${subject}`;
    const pending = this.#pending.get(id);
    if (pending !== undefined) {
      pending.amount += amount;
    } else if (this.#options.connection.state === 'unavailable' || this.#pending.size >= MAX_PENDING) {
      this.#local.count(offence, subject, amount, now);
      return;
    } else {
      this.#pending.set(id, { offence, subject, amount });
    }
    this.#flushIn(offence.frequent);
  }

  noteLogin(user: string, address: string, now: number): void {
    this.#local.noteLogin(user, address, now);
    void this.#noteLogin.run([this.#loginsOf(user)], [address, KNOWN_MS, KNOWN_ADDRESSES]);
  }

  async hasLoggedIn(user: string, address: string, now: number): Promise<boolean> {
    if (await this.#local.hasLoggedIn(user, address, now)) return true;
    return (await this.#hasLoggedIn.run([this.#loginsOf(user)], [address, KNOWN_MS])) === 1;
  }

  list(now: number): readonly Block[] {
    return this.#view.list(now);
  }

  async clear(subjects: readonly string[] | null, now: number): Promise<Cleared> {
    let everywhere = await this.refresh();
    const asked = subjects ?? this.#view.list(now).map(({ subject }) => subject);
    const cleared = new Set<string>();
    for (let at = 0; at < asked.length; at += CLEAR_PAGE) {
      const page = asked.slice(at, at + CLEAR_PAGE);
      const records = page.flatMap((subject) => REASONS.map((reason) => this.#recordOf(reason, subject)));
      const members = page.flatMap((subject) => [memberOf('Block', subject), memberOf('Throttle', subject)]);
      const reply = await this.#clear.run([...this.#keys, ...records], [...this.#common, ...members]);
      if (!isTexts(reply)) everywhere = false;
      else for (const member of reply) cleared.add(parseMember(member)?.[1] ?? '');
    }
    for (const subject of (await this.#local.clear(asked, now)).subjects) cleared.add(subject);
    return { subjects: [...cleared], everywhere };
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#flushing !== null) this.#stopFlushing();
  }

  /** What Redis has may have changed behind our back (a new connection, which may lead to another server): compare wholly. */
  suspect(): void {
    this.#epoch = '';
  }

  /** Brings the view up to date. Resolves to false when Redis does not answer; never rejects. */
  refresh(): Promise<boolean> {
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = null;
    });
    return this.#syncing;
  }

  /** At once, which is when this turn of the event loop has ended, or within a tenth of a second. */
  #flushIn(frequent: boolean): void {
    if (this.#flushing !== null) {
      if (frequent || this.#flushingSoon) return;
      this.#stopFlushing();
    }
    const flush = (): void => {
      this.#flushing = null;
      void this.#flush();
    };
    this.#flushingSoon = !frequent;
    this.#flushing = frequent ? setTimeout(flush, FREQUENT_MS).unref() : setImmediate(flush);
  }

  #stopFlushing(): void {
    if (this.#flushingSoon) clearImmediate(this.#flushing as NodeJS.Immediate);
    else clearTimeout(this.#flushing as NodeJS.Timeout);
    this.#flushing = null;
  }

  async #flush(): Promise<void> {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (let at = 0; at < pending.length; at += COUNT_PAGE) await this.#tell(pending.slice(at, at + COUNT_PAGE));
  }

  async #tell(pending: readonly Pending[]): Promise<void> {
    const keys = [...this.#keys];
    const args = [...this.#common];
    for (const { offence, subject, amount } of pending) {
      const { reason, measure, threshold, windowMs, blockMs, multiplier, maxMs } = offence;
      keys.push(this.#recordOf(reason, subject));
      args.push(threshold, windowMs, blockMs, multiplier, maxMs, amount);
      args.push(measure === 'Tell' ? '' : memberOf(measure, subject), reason);
    }
    const reply = await this.#count.run(keys, args);
    const now = this.#options.now();
    for (const [index, { offence, subject, amount }] of pending.entries()) {
      const measureMs: unknown = Array.isArray(reply) ? reply[index] : undefined;
      if (typeof measureMs !== 'number') this.#local.count(offence, subject, amount, now);
      else if (measureMs >= 0) {
        const { reason, measure, onMeasure } = offence;
        if (measure !== 'Tell') this.#view.add({ measure, subject, reason, since: now, until: now + measureMs }, true);
        onMeasure(subject, measureMs);
      }
    }
  }

  async #sync(): Promise<boolean> {
    for (let more = true; more; ) {
      const page = decodePage(await this.#pull.run(this.#keys, [...this.#common, this.#number, PAGE]));
      if (page === null) {
        this.suspect();
        return false;
      }
      const { epoch, number, changes } = page;
      const lost = epoch !== this.#epoch || number < this.#highest;
      this.#highest = number;
      if (lost) {
        this.#epoch = epoch;
        this.#number = 0;
        this.#view.doubt();
        continue;
      }
      for (const change of changes) this.#take(change);
      more = changes.length === PAGE;
    }
    return this.#writeBack();
  }

  #take({ measure, subject, reason, number, leftMs, ageMs }: Change): void {
    this.#number = number;
    const now = this.#options.now();
    if (leftMs < 0) this.#view.remove(measure, subject);
    else this.#view.replace({ measure, subject, reason, since: now - ageMs, until: now + leftMs });
  }

  async #writeBack(): Promise<boolean> {
    const now = this.#options.now();
    const unstored = this.#view.unstored(now);
    for (let at = 0; at < unstored.length; at += PAGE) {
      const page = unstored.slice(at, at + PAGE);
      const args = page.flatMap(({ measure, subject, reason, since, until }) => [
        memberOf(measure, subject),
        reason,
        since - now,
        until - now,
      ]);
      if ((await this.#publish.run(this.#keys, [...this.#common, ...args])) === undefined) return false;
      for (const block of page) this.#view.replace(block);
    }
    return true;
  }

  #recordOf(reason: Reason, subject: string): string {
    return `${this.#prefix}record:${reason}:${subject}`;
  }

  #loginsOf(user: string): string {
    return `${this.#prefix}logins:${user}`;
  }
}

interface Change extends Pick<Block, 'measure' | 'subject' | 'reason'> {
  readonly number: number;
  /** Below 0: it was cleared. */
  readonly leftMs: number;
  readonly ageMs: number;
}

interface Page {
  readonly epoch: string;
  readonly number: number;
  readonly changes: readonly Change[];
}

function memberOf(measure: Block['measure'], subject: string): string {
  return `${measure} ${subject}`;
}

function parseMember(member: string): [Block['measure'], string] | null {
  const space = member.indexOf(' ');
  const measure = member.slice(0, space);
  return measure === 'Block' || measure === 'Throttle' ? [measure, member.slice(space + 1)] : null;
}

/** Null for what is no page; a change that none of us wrote is passed over. */
function decodePage(reply: unknown): Page | null {
  if (!Array.isArray(reply) || !Array.isArray(reply[2])) return null;
  const [epoch, number, values] = reply as [string, number, [string, number, number, string, number]];
  const changes: Change[] = [];
  for (let i = 0; i < values.length; i += 5) {
    const [member, at, leftMs, reason, ageMs] = values.slice(i, i + 5) as typeof values;
    const [measure, subject] = parseMember(member) ?? ['Block', ''];
    const known = REASONS.find((each) => each === reason) ?? 'penalties';
    changes.push({ measure, subject, reason: known, number: at, leftMs: subject === '' ? -1 : leftMs, ageMs });
  }
  return { epoch, number, changes };
}

function isTexts(reply: unknown): reply is string[] {
  return Array.isArray(reply) && reply.every((text) => typeof text === 'string');
}

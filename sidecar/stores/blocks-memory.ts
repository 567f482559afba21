import {
  countOffences,
  forgottenAt,
  noOffences,
  type OffenceRecord,
} from '../../policy/evaluate/threats/offence-record.ts';
import { BlockView } from './block-view.ts';
import { type Block, type BlockStore, type Cleared, type Offence, REASONS, type Reason } from './blocks.ts';
import { KnownLogins } from './known-logins.ts';

const MAX_RECORDS = 50_000;
/** Old records looked at for each new one; more than one, so that forgetting outruns arriving. */
const LOOKED_AT_PER_NEW = 4;

interface Remembered {
  readonly record: OffenceRecord;
  offence: Offence;
}

/** Settings of a MemoryBlocks. */
export interface MemoryBlocksOptions {
  /** Subjects whose offences of one kind are remembered at once; default 50,000. */
  readonly maxRecords?: number;
  readonly view?: BlockView;
}

/**
 * Offences and measures in the memory of this process, both bounded. Under a flood of subjects the offences of the one that is
 * nearest to being forgotten are forgotten first; measures are kept by their end (BlockView).
 */
export class MemoryBlocks implements BlockStore {
  readonly #maxRecords: number;
  readonly #view: BlockView;
  readonly #records = new Map<Reason, Map<string, Remembered>>(REASONS.map((reason) => [reason, new Map()]));
  readonly #cursors = new Map<Reason, Iterator<[string, Remembered]>>();
  readonly #logins = new KnownLogins();

  constructor({ maxRecords = MAX_RECORDS, view = new BlockView() }: MemoryBlocksOptions = {}) {
    this.#maxRecords = maxRecords;
    this.#view = view;
  }

  get any(): boolean {
    return this.#view.size > 0;
  }

  find(measure: Block['measure'], subject: string, now: number): Block | undefined {
    return this.#view.find(measure, subject, now);
  }

  count(offence: Offence, subject: string, amount: number, now: number): void {
    const { reason, measure } = offence;
    const records = this.#records.get(reason)!;
    let remembered = records.get(subject);
    if (remembered === undefined) {
      this.#forgetSome(reason, records, now);
      remembered = { record: noOffences(), offence };
      records.set(subject, remembered);
    }
    remembered.offence = offence;
    const measureMs = countOffences(remembered.record, offence, amount, now);
    if (measureMs === null) return;
    if (measure !== 'Tell') {
      this.#view.add({ measure, subject, reason, since: now, until: now + measureMs }, false);
    }
    offence.onMeasure(subject, measureMs);
  }

  noteLogin(user: string, address: string, now: number): void {
    this.#logins.note(user, address, now);
  }

  async hasLoggedIn(user: string, address: string, now: number): Promise<boolean> {
    return this.#logins.has(user, address, now);
  }

  list(now: number): readonly Block[] {
    return this.#view.list(now);
  }

  async clear(subjects: readonly string[] | null, now: number): Promise<Cleared> {
    const found = new Set(this.list(now).map(({ subject }) => subject));
    const cleared = subjects === null ? [...found] : subjects.filter((subject) => found.has(subject));
    for (const subject of subjects ?? cleared) {
      this.#view.remove('Block', subject);
      this.#view.remove('Throttle', subject);
      for (const records of this.#records.values()) records.delete(subject);
    }
    return { subjects: cleared, everywhere: true };
  }

  close(): void {}

  #forgetSome(reason: Reason, records: Map<string, Remembered>, now: number): void {
    let nearest: string | undefined;
    let nearestAt = Number.POSITIVE_INFINITY;
    for (let looked = 0; looked < LOOKED_AT_PER_NEW; looked++) {
      const next = this.#next(reason, records);
      if (next === undefined) break;
      const [subject, { record, offence }] = next;
      const at = forgottenAt(record, offence);
      if (at <= now) records.delete(subject);
      else if (at < nearestAt) {
        nearest = subject;
        nearestAt = at;
      }
    }
    if (nearest !== undefined && records.size >= this.#maxRecords) records.delete(nearest);
  }

  #next(reason: Reason, records: Map<string, Remembered>): [string, Remembered] | undefined {
    let next = this.#cursors.get(reason)?.next();
    if (next === undefined || next.done === true) {
      const cursor = records.entries();
      this.#cursors.set(reason, cursor);
      next = cursor.next();
    }
    return next.done === true ? undefined : next.value;
  }
}

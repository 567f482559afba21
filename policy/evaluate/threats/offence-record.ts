/** When offences of one kind lead to a measure against whoever commits them, and for how long. */
export interface OffenceRule {
  /** Offences within `windowMs` that lead to a measure; at least 1. Bytes, where bytes are what is counted. */
  readonly threshold: number;
  readonly windowMs: number;
  /** How long the first measure lasts; 0: it is only told. */
  readonly blockMs: number;
  /** Each further measure lasts this many times as long; a whole number of at least 1. */
  readonly multiplier: number;
  /** But never longer than this; at least `blockMs`. */
  readonly maxMs: number;
}

/** What is remembered of one subject's offences of one kind. Times are epoch milliseconds. */
export interface OffenceRecord {
  /** Measures so far; forgotten when none was needed for the longer of `maxMs` and `windowMs` after the last one's end. */
  level: number;
  /** End of the last measure. Offences before it are of requests that were under way already: they do not count. */
  until: number;
  /** Offences in all slots. */
  total: number;
  /** Oldest first: the last millisecond of a slot of time, offences in it. */
  readonly slots: [lastMs: number, offences: number][];
}

/** Up to this threshold every offence is remembered by its own millisecond; above, by its slot, a sixtieth of the window. */
const EXACT_UP_TO = 60;
const SLOTS_PER_WINDOW = 60;

/** The record of somebody who did nothing yet. */
export function noOffences(): OffenceRecord {
  return { level: 0, until: 0, total: 0, slots: [] };
}

/**
 * Counts `amount` offences at `now` and says how long the measure lasts that they lead to, in milliseconds, or null for none. An
 * offence counts for `windowMs`, with thresholds above 60 for up to 1.7 % longer, never shorter; those that led to a measure do not
 * count again. The same arithmetic in Lua: sidecar/stores/lua/blocks-script.ts.
 */
export function countOffences(record: OffenceRecord, rule: OffenceRule, amount: number, now: number): number | null {
  const { threshold, windowMs, blockMs, multiplier, maxMs } = rule;
  if (now < record.until) return null;
  const { slots } = record;
  const slotMs = threshold <= EXACT_UP_TO ? 1 : Math.ceil(windowMs / SLOTS_PER_WINDOW);
  let slot = Math.floor(now / slotMs) * slotMs + slotMs - 1;
  let newest = slots.at(-1);
  if (newest !== undefined && newest[0] > slot) {
    // The clock stepped back: time stands still, unless that would last for more than a window.
    if (newest[0] - slot > windowMs) forget(record);
    else slot = newest[0];
  }
  while (slots.length > 0 && slots[0]![0] <= now - windowMs) record.total -= slots.shift()![1];
  newest = slots.at(-1);
  record.total += amount;
  if (record.total < threshold) {
    if (newest !== undefined && newest[0] === slot) newest[1] += amount;
    else slots.push([slot, amount]);
    return null;
  }
  forget(record);
  if (now >= record.until + Math.max(maxMs, windowMs)) record.level = 0;
  const measureMs = Math.min(maxMs, blockMs * multiplier ** record.level);
  // No further than the longest: the power must stay a number.
  if (measureMs < maxMs) record.level++;
  record.until = now + measureMs;
  return measureMs;
}

function forget(record: OffenceRecord): void {
  record.total = 0;
  record.slots.length = 0;
}

/** When a record says the same as none, epoch milliseconds. */
export function forgottenAt({ level, until, slots }: OffenceRecord, { windowMs, maxMs }: OffenceRule): number {
  const counted = slots.length === 0 ? 0 : slots.at(-1)![0] + windowMs;
  return Math.max(counted, until, level === 0 ? 0 : until + Math.max(maxMs, windowMs));
}

import { createHash } from 'node:crypto';
import type { OffenceRule } from '../../policy/evaluate/threats/offence-record.ts';

/** What led to a measure, by its field in the policy. */
export const REASONS = ['penalties', 'bruteForce', 'scanning', 'abuse', 'exfiltration'] as const;

/** One of `REASONS`. */
export type Reason = (typeof REASONS)[number];

/** What is done: all requests refused, requests slowed down, or nothing but telling. */
export type Measure = 'Block' | 'Throttle' | 'Tell';

/** One kind of offence, and what it leads to. */
export interface Offence extends OffenceRule {
  readonly reason: Reason;
  readonly measure: Measure;
  /** Counted with others of the same tenth of a second, where every request is one. */
  readonly frequent: boolean;
  /** Called in the process whose offence was the one too many, once for all processes that share a store. */
  readonly onMeasure: (subject: string, measureMs: number) => void;
}

/** A measure in force. Times are epoch milliseconds by the clock of this process. */
export interface Block {
  readonly measure: 'Block' | 'Throttle';
  /** Kind and name of who it is about, such as `ip=192.0.2.7`. */
  readonly subject: string;
  readonly reason: Reason;
  readonly since: number;
  readonly until: number;
}

/**
 * Offences and what they led to, shared by the processes of a group. Look-ups see what this process knows, at most a second old, and
 * never wait; counting is told to the others in the background. While the shared store is away the measures known last stay until they
 * end, and each process counts by itself.
 */
export interface BlockStore {
  /** The measure in force against a subject, as `subjectId` gives it. */
  find(measure: 'Block' | 'Throttle', subject: string, now: number): Block | undefined;
  /** False while there is no measure at all: then no subject has to be made up. */
  readonly any: boolean;
  /** Counts `amount` offences of one subject. Never waits, never throws. */
  count(offence: Offence, subject: string, amount: number, now: number): void;
  /** Notes that `user` logged in from an address; ten addresses a user are kept, for 30 days. */
  noteLogin(user: string, address: string, now: number): void;
  /** Whether `user` has logged in from there; only what this process noted while the shared store is away. Never rejects. */
  hasLoggedIn(user: string, address: string, now: number): Promise<boolean>;
  /** Measures in force, those that end last first. */
  list(now: number): readonly Block[];
  /** Ends measures against these subjects, null: all, and forgets their offences. Never rejects. */
  clear(subjects: readonly string[] | null, now: number): Promise<Cleared>;
  close(): void;
}

/** What `clear` did. */
export interface Cleared {
  readonly subjects: readonly string[];
  /** False: the shared store did not answer, and other processes go on. */
  readonly everywhere: boolean;
}

const MAX_ID_LENGTH = 160;
/** Whoever fails to log in chooses the name that an administrator's terminal shows: no escape sequences, second lines or reversed text. */
const NOT_SHOWN = /^sha256:|[\p{C}[\p{Z}--[ ]]]/v;

/**
 * A subject as it is stored and shown: kind, `=` and its name or, when that is long or not printable, its SHA-256, so that a bound in
 * entries is one in bytes.
 */
export function subjectId(kind: string, name: string): string {
  if (name.length <= MAX_ID_LENGTH && !NOT_SHOWN.test(name)) return `${kind}=${name}`;
  return `${kind}=sha256:${createHash('sha256').update(name).digest('base64url')}`;
}

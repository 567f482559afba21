import type { Spare } from './connection-table.ts';

/** What a client connection is at. `flush`: the answer is complete, and the client has yet to read what the socket holds of it. */
export type Phase = 'head' | 'body' | 'answer' | 'flush' | 'linger' | 'closed';

/** What patience with a client depends on. Times in milliseconds. */
export interface Waiting {
  readonly phase: Phase;
  /** Since something last happened. */
  readonly waitedMs: number;
  /** It has had an answer before. */
  readonly served: boolean;
  /** Part of a request has come. */
  readonly begun: boolean;
  /** It is we who do not take its body. */
  readonly bodyPaused: boolean;
  /** It does not take what was written. */
  readonly unread: boolean;
  /** It has taken all of the last answer. */
  readonly flushed: boolean;
}

const HEAD_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 60_000;
const LINGER_MS = 2_000;
/** RFC-conforming clients are far faster; below it, after a grace, a body is a slow attack. */
const MIN_BODY_BYTES_PER_SECOND = 500;
const BODY_GRACE_MS = 10_000;
/** So long a client may keep us waiting before its connection can be spared for another's. */
const PATIENCE_MS = 1_000;
const SLOW_READER_MS = 10_000;

/** What to do with a connection that has been waited for; `weigh`: see whether its body comes fast enough. Null: wait on. */
export function overdue(waiting: Waiting): 'refuse' | 'linger' | 'destroy' | 'weigh' | null {
  const { phase, waitedMs, served, begun, bodyPaused, flushed } = waiting;
  switch (phase) {
    case 'head':
      if (begun) return waitedMs > HEAD_TIMEOUT_MS ? 'refuse' : null;
      return waitedMs > (served ? KEEP_ALIVE_MS : HEAD_TIMEOUT_MS) ? 'linger' : null;
    case 'body':
      return !bodyPaused && waitedMs > BODY_GRACE_MS ? 'weigh' : null;
    case 'flush':
      return waitedMs > KEEP_ALIVE_MS ? 'destroy' : null;
    case 'linger':
      return waitedMs > (flushed ? LINGER_MS : KEEP_ALIVE_MS) ? 'destroy' : null;
    case 'answer':
    case 'closed':
      return null;
  }
}

/** True for so many bytes of a body in that time. */
export function isTooSlow(bytes: number, waitedMs: number): boolean {
  return bytes < (waitedMs / 1_000) * MIN_BODY_BYTES_PER_SECOND;
}

/** How a connection can be spared for another. */
export function spareOf({ phase, waitedMs, served, begun, bodyPaused, unread }: Waiting): Spare {
  switch (phase) {
    case 'head':
      if (served && !begun) return 'idle';
      return waitedMs > PATIENCE_MS ? 'waiting' : 'young';
    case 'linger':
      return 'waiting';
    case 'body':
      return !bodyPaused && waitedMs > PATIENCE_MS ? 'slow' : null;
    case 'flush':
      return waitedMs > PATIENCE_MS ? 'slow' : null;
    case 'answer':
      return unread && waitedMs > SLOW_READER_MS ? 'slow' : null;
    case 'closed':
      return null;
  }
}

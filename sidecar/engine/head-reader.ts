import { type CheckedHead, checkHead } from './check-head.ts';
import { MAX_HEAD_BYTES, overlongHead, parseRequestHead } from './request-head.ts';
import type { ProtocolRefusal } from './rescue.ts';

const HEAD_END = Buffer.from('\r\n\r\n');
/** A CR or LF that is not part of a CRLF; a CR at the end may still become one. */
const BAD_LINE_END = /\r[^\n]|[^\r]\n/;
const CR = 13;
const LF = 10;

/** Finds and reads the heads of requests in what a connection brings. Keeps nothing of them but how the last was written. */
export class HeadReader {
  #emptyLine = false;
  /** Minor version of HTTP/1.x of the last head. */
  minor: 0 | 1 = 1;
  /** Whether the last was a HEAD. */
  isHead = false;
  /** Bytes that belonged to the last, its final empty line included. */
  length = 0;

  /** `data` without the empty line before a request that RFC 9112 §2.2 forgives, once. */
  withoutEmptyLine(data: Buffer): Buffer {
    if (this.#emptyLine || data.length < 2 || data[0] !== CR || data[1] !== LF) return data;
    this.#emptyLine = true;
    return data.subarray(2);
  }

  /** Whether `held` has a whole head; `known` of it was looked at before. Refuses what can never become one. */
  complete(held: Buffer, known: number): boolean | ProtocolRefusal {
    if (held.indexOf(HEAD_END, Math.max(0, known - HEAD_END.length)) >= 0) return true;
    const fresh = held.toString('latin1', Math.max(0, known - 1));
    if (BAD_LINE_END.test(fresh) || (known === 0 && fresh.charCodeAt(0) === LF)) return 'malformed_request';
    return held.length > MAX_HEAD_BYTES ? overlongHead(held.toString('latin1')) : false;
  }

  /** The head at the front of `data`, or null when it has no end yet. */
  read(data: Buffer): CheckedHead | ProtocolRefusal | null {
    const end = data.indexOf(HEAD_END);
    if (end < 0) return null;
    if (end > MAX_HEAD_BYTES) return overlongHead(data.toString('latin1', 0, end));
    const head = parseRequestHead(data.toString('latin1', 0, end));
    if (typeof head === 'string') return head;
    const checked = checkHead(head);
    if (typeof checked === 'string') return checked;
    this.#emptyLine = false;
    this.minor = head.minor;
    this.isHead = head.method === 'HEAD';
    this.length = end + HEAD_END.length;
    return checked;
  }
}

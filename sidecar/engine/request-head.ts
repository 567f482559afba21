import type { ProtocolRefusal } from './rescue.ts';

/** Largest request target in bytes; above it 414. */
const MAX_TARGET = 8 * 1024;
/** Most header fields, and the most bytes of all of them; above it 431. */
const MAX_HEADERS = 100;
const MAX_HEADER_BYTES = 16 * 1024;
/** A request head longer than this is refused before its end has been seen. */
export const MAX_HEAD_BYTES = MAX_TARGET + MAX_HEADER_BYTES + 64;

const REQUEST_LINE = /^([A-Z]{1,16}(?:-[A-Z]{1,16})?) ([\x21-\x7e]+) HTTP\/1\.([01])$/;
/** A field name: a token (RFC 9110 §5.6.2). */
export const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/**
 * What no field value may have. A tab at the end is a blank to RFC 9110 and part of the value to llhttp, so `chunked` with one
 * is not the same to all.
 */
export const BAD_FIELD_VALUE = /[^\t\x20-\x7e\x80-\xff]|\t$/;

/** A request head as it stood on the wire. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** Minor version of HTTP/1.x. */
  readonly minor: 0 | 1;
  /** Names in lower case and values without surrounding blanks, alternating, in their order. */
  readonly fields: string[];
}

/**
 * Parses a request head without its final empty line, strictly by RFC 9112 §3 and §5: one space between the parts of the
 * request line, no space before a colon, no line folding, CRLF and nothing else as line end. Nothing is repaired.
 */
export function parseRequestHead(text: string): RequestHead | ProtocolRefusal {
  let lineEnd = text.indexOf('\r\n');
  if (lineEnd < 0) lineEnd = text.length;
  const requestLine = REQUEST_LINE.exec(text.slice(0, lineEnd));
  if (requestLine === null) return 'malformed_request';
  const target = requestLine[2] as string;
  if (target.length > MAX_TARGET) return 'target_too_long';
  if (text.length - lineEnd > MAX_HEADER_BYTES) return 'headers_too_large';

  const fields: string[] = [];
  let at = lineEnd + 2;
  while (at < text.length) {
    let end = text.indexOf('\r\n', at);
    if (end < 0) end = text.length;
    const colon = text.indexOf(':', at);
    if (colon <= at || colon > end) return 'malformed_request';
    const name = text.slice(at, colon);
    const value = trimBlanks(text, colon + 1, end);
    if (!FIELD_NAME.test(name) || BAD_FIELD_VALUE.test(value)) return 'malformed_request';
    if (fields.length === MAX_HEADERS * 2) return 'headers_too_large';
    fields.push(name.toLowerCase(), value);
    at = end + 2;
  }
  return { method: requestLine[1] as string, target, minor: requestLine[3] === '0' ? 0 : 1, fields };
}

/** Why a head that has no end within MAX_HEAD_BYTES is refused. */
export function overlongHead(text: string): ProtocolRefusal {
  return text.includes('\r\n') ? 'headers_too_large' : 'target_too_long';
}

/** The part of `text` between two offsets without leading spaces and tabs and trailing spaces (most of OWS, RFC 9110 §5.6.3). */
export function trimBlanks(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && text.charCodeAt(end - 1) === 0x20) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

import { HOP_BY_HOP } from './header-lists.ts';
import { BAD_FIELD_VALUE, FIELD_NAME, trimBlanks } from './request-head.ts';

/** How the body of an answer is delimited (RFC 9112 §6.3). */
export type BodyFraming = 'none' | 'length' | 'chunked' | 'until-close';

/** A parsed upstream answer head. */
export interface ResponseHead {
  readonly status: number;
  /** Flat, lower-case names; connection-level headers and X-Request-ID dropped, Content-Length kept. */
  readonly headers: string[];
  readonly framing: BodyFraming;
  /** Bytes of the body for `length`, else 0. */
  readonly length: number;
  /** The connection may serve another request. */
  readonly keepAlive: boolean;
  /** Seconds the upstream says it keeps an idle connection (`Keep-Alive: timeout=N`), or -1. */
  readonly keepAliveTimeout: number;
  /** Lower-case value of Upgrade when Connection names it too (RFC 9110 §7.8), else the empty string. */
  readonly upgrade: string;
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/;

/**
 * Parses the head of an upstream answer, without its final empty line, to requests with `method`. Returns null when it is
 * not strict HTTP/1.1 (RFC 9112): nothing ambiguous is repaired.
 */
export function parseResponseHead(text: string, method: string): ResponseHead | null {
  let lineEnd = text.indexOf('\r\n');
  if (lineEnd < 0) lineEnd = text.length;
  const statusLine = STATUS_LINE.exec(text.slice(0, lineEnd));
  if (statusLine === null) return null;
  const minor = statusLine[1];
  const status = Number(statusLine[2]);

  const headers: string[] = [];
  let length = -1;
  let chunked = false;
  let connection = '';
  let keepAliveTimeout = -1;
  let upgrade = '';

  let at = lineEnd + 2;
  while (at < text.length) {
    let end = text.indexOf('\r\n', at);
    if (end < 0) end = text.length;
    const colon = text.indexOf(':', at);
    if (colon <= at || colon > end) return null;
    const name = text.slice(at, colon).toLowerCase();
    const value = trimBlanks(text, colon + 1, end);
    if (!FIELD_NAME.test(name) || BAD_FIELD_VALUE.test(value)) return null;
    at = end + 2;
    switch (name) {
      case 'content-length':
        if (length >= 0 || !/^[0-9]{1,15}$/.test(value)) return null;
        length = Number(value);
        headers.push(name, value);
        break;
      case 'transfer-encoding':
        if (chunked || value.toLowerCase() !== 'chunked' || minor === '0') return null;
        chunked = true;
        break;
      case 'connection':
        connection = connection === '' ? value.toLowerCase() : `${connection},${value.toLowerCase()}`;
        break;
      case 'keep-alive':
        keepAliveTimeout = Number(/(?:^|[\s,;])timeout=(\d{1,6})/.exec(value)?.[1] ?? -1);
        break;
      case 'upgrade':
        upgrade = value.toLowerCase();
        break;
      case 'x-request-id':
        break;
      default:
        if (!HOP_BY_HOP.has(name)) headers.push(name, value);
    }
  }
  if (chunked && length >= 0) return null;

  const tokens = connection === '' ? [] : connection.split(',').map((token) => token.trim());
  const noBody = method === 'HEAD' || status === 204 || status === 304 || status < 200;
  let framing: BodyFraming = 'until-close';
  if (noBody) framing = 'none';
  else if (chunked) framing = 'chunked';
  else if (length >= 0) framing = length === 0 ? 'none' : 'length';
  return {
    status,
    headers: tokens.length === 0 && status !== 204 ? headers : withoutNamed(headers, tokens, status),
    framing,
    length: Math.max(0, length),
    keepAlive: framing !== 'until-close' && (minor === '1' ? !tokens.includes('close') : tokens.includes('keep-alive')),
    keepAliveTimeout,
    upgrade: tokens.includes('upgrade') ? upgrade : '',
  };
}

/**
 * RFC 9110 §7.6.1: whatever Connection names belongs to this connection alone. Framing headers cannot be named away; a 204 has
 * none (§8.6).
 */
function withoutNamed(headers: string[], tokens: readonly string[], status: number): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    if (name === 'content-length' ? status !== 204 : !tokens.includes(name)) kept.push(name, headers[i + 1] as string);
  }
  return kept;
}

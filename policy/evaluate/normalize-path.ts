import type { PathMatching } from '../bundle/types.ts';

/**
 * A path in canonical form: what is matched and what is sent upstream. Absolute, without dot or empty segments, unreserved
 * characters decoded, every other octet that was encoded still encoded, hex digits upper case (RFC 3986 §6.2.2). Pure ASCII.
 */
export type NormalizedPath = string;

/** Why a path is refused with 400: a closed list for logs and metrics. */
export type PathRefusalReason =
  | 'not_absolute'
  | 'above_root'
  | 'backslash'
  | 'encoded_separator'
  | 'control_character'
  | 'not_ascii'
  | 'invalid_utf8'
  | 'invalid_percent_encoding'
  | 'query_or_fragment'
  | 'parameters';

/** A refused path. One frozen object a reason. */
export interface PathRefusal {
  readonly refused: PathRefusalReason;
}

/** The path matching of a sidecar that has no access policy: the strictest reading. */
export const DEFAULT_PATH_MATCHING: PathMatching = Object.freeze({
  case: 'Sensitive',
  trailingSlash: 'Strict',
  parameters: 'Refuse',
});

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;
const SEMICOLON = 0x3b;

/** How an ASCII character may stand in a path. */
const PLAIN = 0; // pchar of RFC 3986 §3.3 without "%" and ";": never changed
const ENCODE = 1; // not a pchar but harmless: sent percent-encoded
const SPECIAL = 2; // decided one by one
const CLASS = new Uint8Array(128).fill(ENCODE);
const UNRESERVED = new Uint8Array(128);
const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
for (const character of `${ALPHANUMERIC}-._~!$&'()*+,=:@`) CLASS[character.charCodeAt(0)] = PLAIN;
for (const character of `${ALPHANUMERIC}-._~`) UNRESERVED[character.charCodeAt(0)] = 1;
for (const character of '/%;\\#?') CLASS[character.charCodeAt(0)] = SPECIAL;
for (let code = 0; code <= 0x20; code++) CLASS[code] = SPECIAL;
CLASS[0x7f] = SPECIAL;

const refusals = new Map<PathRefusalReason, PathRefusal>();
function refuse(refused: PathRefusalReason): PathRefusal {
  let refusal = refusals.get(refused);
  if (refusal === undefined) {
    refusal = Object.freeze({ refused });
    refusals.set(refused, refusal);
  }
  return refusal;
}

/**
 * Brings the path of an origin-form target (RFC 9112 §3.2.1) into canonical form, or says why it is refused. `rawPath` is
 * the part before `?`, one character per octet. A path that is canonical already is returned as the same string, after one
 * scan and without allocation. Slashes are merged before dot segments are resolved. `%3B` is refused and allowed like `;`,
 * because servers disagree on whether it starts parameters; a dot segment with parameters (`..;x`) is refused always.
 */
export function normalizePath(rawPath: string, matching: PathMatching): NormalizedPath | PathRefusal {
  if (rawPath.charCodeAt(0) !== SLASH) return refuse('not_absolute');
  let afterSlash = true;
  for (let at = 1; at < rawPath.length; at++) {
    const code = rawPath.charCodeAt(at);
    if (code === SLASH) {
      if (afterSlash) return normalizeSegments(rawPath, matching);
      afterSlash = true;
      continue;
    }
    if (code > 0x7f || CLASS[code] !== PLAIN || (code === DOT && afterSlash))
      return normalizeSegments(rawPath, matching);
    afterSlash = false;
  }
  return rawPath;
}

/** Decodes one segment of a canonical path. */
export function decodeSegment(segment: string): string {
  return segment.includes('%') ? decodeURIComponent(segment) : segment;
}

function normalizeSegments(rawPath: string, matching: PathMatching): NormalizedPath | PathRefusal {
  const kept: string[] = [];
  let endsWithSlash = true;
  for (const raw of rawPath.slice(1).split('/')) {
    const segment = normalizeSegment(raw, matching);
    if (typeof segment !== 'string') return segment;
    endsWithSlash = segment === '' || segment === '.' || segment === '..';
    if (!endsWithSlash) kept.push(segment);
    else if (segment === '..' && kept.pop() === undefined) return refuse('above_root');
  }
  if (kept.length === 0) return '/';
  return `/${kept.join('/')}${endsWithSlash ? '/' : ''}`;
}

function normalizeSegment(raw: string, matching: PathMatching): string | PathRefusal {
  let result = '';
  let parametersAt = -1;
  for (let at = 0; at < raw.length; ) {
    let code = raw.charCodeAt(at);
    if (code > 0x7f) return refuse('not_ascii');
    const encoded = code === PERCENT;
    if (encoded) {
      code = octetAt(raw, at);
      if (code < 0) return refuse('invalid_percent_encoding');
      if (code > 0x7f) {
        const octets = utf8LengthAt(raw, at);
        if (octets === 0) return refuse('invalid_utf8');
        result += raw.slice(at, at + 3 * octets).toUpperCase();
        at += 3 * octets;
        continue;
      }
    }
    const refusal = refusalOf(code, encoded);
    if (refusal !== null) return refusal;
    if (code === SEMICOLON) {
      if (matching.parameters === 'Refuse') return refuse('parameters');
      if (parametersAt < 0) parametersAt = result.length;
    }
    const keep = encoded ? UNRESERVED[code] === 1 : CLASS[code] === PLAIN || code === SEMICOLON;
    result += keep ? String.fromCharCode(code) : percentEncoded(code);
    at += encoded ? 3 : 1;
  }
  if (parametersAt >= 0 && isDots(result.slice(0, parametersAt))) return refuse('parameters');
  return result;
}

function refusalOf(code: number, encoded: boolean): PathRefusal | null {
  if (code < 0x20 || code === 0x7f || (code === 0x20 && !encoded)) return refuse('control_character');
  if (code === 0x5c) return refuse(encoded ? 'encoded_separator' : 'backslash');
  if (code === SLASH) return refuse('encoded_separator');
  // Encoded "?" and "#" are data: only the bare ones would end the path for the next reader.
  if (!encoded && (code === 0x23 || code === 0x3f)) return refuse('query_or_fragment');
  return null;
}

function isDots(segment: string): boolean {
  return segment === '' || segment === '.' || segment === '..';
}

function percentEncoded(code: number): string {
  return `%${code < 16 ? '0' : ''}${code.toString(16).toUpperCase()}`;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** The octet encoded at `at`, or -1. */
function octetAt(text: string, at: number): number {
  if (text.charCodeAt(at) !== PERCENT) return -1;
  const high = hexDigit(text.charCodeAt(at + 1));
  const low = hexDigit(text.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** Octets in the well-formed UTF-8 sequence (Unicode table 3-7) percent-encoded at `at`; 0 when ill-formed. */
function utf8LengthAt(text: string, at: number): number {
  const first = octetAt(text, at);
  const second = octetAt(text, at + 3);
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0) return 0;
  const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let index = 2; index < length; index++) {
    const octet = octetAt(text, at + 3 * index);
    if (octet < 0x80 || octet > 0xbf) return 0;
  }
  return length;
}

import type { Violation } from './body-config.ts';
import { memberPointer } from './json-pointer.ts';

/** A value, or the first thing wrong with the text. */
export type Read = { readonly ok: true; readonly value: unknown } | ({ readonly ok: false } & Violation);

interface Open {
  /** The names seen, of an object. */
  readonly names: Set<string> | null;
  /** The member, or the item, that the scan is at. */
  at: string | number;
  /** Characters of the names that lead here. */
  readonly pathLength: number;
}

/** Of all names on the way to a member: whoever names each of many members by its path pays for them again and again. */
const MAX_PATH_LENGTH = 1_024;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const UPPER_E = 0x45;
const LOWER_E = 0x65;
/** Numbers shorter than this are finite, and their integers exact. */
const SHORT_NUMBER = 5;

/**
 * Parses JSON (RFC 8259) as `JSON.parse` does, and refuses what makes two readers disagree: a name twice in one object (names
 * compared after unescaping), nesting deeper than `maxDepth`, an integer that a double cannot hold exactly (beyond 2^53 - 1),
 * a number beyond the largest double, a lone surrogate; and names that make a path of more than 1,024 characters. `__proto__` is
 * a member like any other. Never throws.
 */
export function parseStrictJson(text: string, maxDepth: number): Read {
  // The grammar is JSON.parse's business, so that there is no second opinion on it; the scan sees only valid JSON.
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, pointer: '', message: 'is not valid JSON (RFC 8259)' };
  }
  const flaw = findFlaw(text, maxDepth);
  return flaw === null ? { ok: true, value } : { ok: false, ...flaw };
}

function findFlaw(json: string, maxDepth: number): Violation | null {
  const open: Open[] = [];
  let top: Open | undefined;
  let nameExpected = false;
  let escapeAt = -1;
  const flaw = (message: string): Violation => ({
    pointer: open.reduce((pointer, { at }) => memberPointer(pointer, at), ''),
    message,
  });
  for (let at = 0; at < json.length; at++) {
    const code = json.charCodeAt(at);
    switch (code) {
      case OPEN_BRACE:
      case OPEN_BRACKET:
        if (open.length === maxDepth) return flaw(`is nested too deep; nest at most ${maxDepth} levels`);
        nameExpected = code === OPEN_BRACE;
        top = { names: nameExpected ? new Set() : null, at: nameExpected ? '' : 0, pathLength: lengthWith(top) };
        open.push(top);
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        open.pop();
        top = open.at(-1);
        break;
      case COMMA:
        nameExpected = top?.names != null;
        if (typeof top?.at === 'number') top.at++;
        break;
      case QUOTE: {
        if (escapeAt < at) escapeAt = indexOrEnd(json, '\\', at);
        let end = json.indexOf('"', at + 1);
        let text: string | null = null;
        if (escapeAt < end) {
          end = endOfString(json, escapeAt);
          text = String(JSON.parse(json.slice(at, end + 1)));
        }
        if (nameExpected && top !== undefined && top.names !== null) {
          nameExpected = false;
          text ??= json.slice(at + 1, end);
          top.at = text;
          if (lengthWith(top) > MAX_PATH_LENGTH) return flaw('is named too long; use shorter names, or nest less');
          if (top.names.has(text)) return flaw('occurs more than once; write it once');
          top.names.add(text);
        }
        // Text that was UTF-8 has whole characters only, unless it spells them out.
        if (text !== null && !text.isWellFormed()) return flaw('holds half a surrogate pair; write whole characters');
        at = end;
        break;
      }
      default:
        if (code === MINUS || (code >= ZERO && code <= NINE)) {
          const end = endOfNumber(json, at);
          const message = end - at < SHORT_NUMBER ? null : flawOfNumber(json.slice(at, end));
          if (message !== null) return flaw(message);
          at = end - 1;
        }
    }
  }
  return null;
}

function lengthWith(open: Open | undefined): number {
  return open === undefined ? 0 : open.pathLength + (typeof open.at === 'string' ? open.at.length : 0);
}

function indexOrEnd(json: string, character: string, from: number): number {
  const at = json.indexOf(character, from);
  return at < 0 ? json.length : at;
}

/** Index of the quote that closes a string, from its first backslash on. */
function endOfString(json: string, escapeAt: number): number {
  let at = escapeAt;
  for (let code = json.charCodeAt(at); code !== QUOTE; code = json.charCodeAt(at)) at += code === BACKSLASH ? 2 : 1;
  return at;
}

/** Index after a number: of the first character that is none of `+-.0123456789Ee`. */
function endOfNumber(json: string, start: number): number {
  let at = start + 1;
  for (let code = json.charCodeAt(at); ; code = json.charCodeAt(++at)) {
    const numeric = (code >= PLUS && code <= NINE && code !== COMMA) || code === UPPER_E || code === LOWER_E;
    if (!numeric) return at;
  }
}

function flawOfNumber(digits: string): string | null {
  const value = Number(digits);
  if (!Number.isFinite(value)) return 'is too large a number; write one below 1.8e308';
  const inexact = Math.abs(value) > Number.MAX_SAFE_INTEGER && /^-?\d+$/.test(digits);
  return inexact ? 'is an integer that not every reader holds exactly; write it as a string' : null;
}

import { memberPointer } from './json-pointer.ts';
import type { Read } from './strict-json.ts';

/**
 * Parses application/x-www-form-urlencoded (URL standard §5.1) into an object of strings. Refused, because servers disagree
 * about them: a name twice, an empty pair, `;`, raw bytes beyond printable ASCII, percent signs that encode no UTF-8. Never throws.
 */
export function parseForm(text: string): Read {
  if (!/^[!-:<-~]*$/.test(text)) {
    return {
      ok: false,
      pointer: '',
      message: 'is not a form; write name=value pairs joined by "&", the rest percent-encoded',
    };
  }
  const members = new Map<string, string>();
  for (const pair of text.split('&')) {
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = decode(equals < 0 ? '' : pair.slice(equals + 1));
    if (pair === '') return { ok: false, pointer: '', message: 'holds an empty pair; write one "&" between two pairs' };
    if (name === null || value === null) {
      return {
        ok: false,
        pointer: '',
        message: 'holds a percent sign that encodes no UTF-8; write %25 for the sign itself',
      };
    }
    if (members.has(name)) {
      return { ok: false, pointer: memberPointer('', name), message: 'occurs more than once; write it once' };
    }
    members.set(name, value);
  }
  return { ok: true, value: Object.fromEntries(members) };
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return null;
  }
}

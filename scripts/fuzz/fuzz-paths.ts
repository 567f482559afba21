import assert from 'node:assert/strict';
import type { PathMatching } from '../../policy/bundle/types.ts';
import { DEFAULT_PATH_MATCHING, normalizePath } from '../../policy/evaluate/normalize-path.ts';
import { mutateText, pick, randomOctets } from './mutate.ts';
import type { Target } from './target.ts';

const ALLOW: PathMatching = { ...DEFAULT_PATH_MATCHING, parameters: 'Allow' };
const SEEDS = [
  '/',
  '/orders',
  '/orders/42/fills/',
  '/a/./b/../c',
  '/caf%C3%A9/%2e%2e/x',
  '/%f0%9f%98%80',
  '/a;v=1/b',
  '/.well-known/x',
];
const PIECES = [
  ...'/.%;\\#? \t~-_!$&\'()*+,=:@aZ0[]{}|^`"<>\0\x7f\x80\xff',
  ...[
    '%2e',
    '%2E',
    '%2f',
    '%5c',
    '%5C',
    '%00',
    '%0a',
    '%3b',
    '%3B',
    '%3f',
    '%23',
    '%20',
    '%7e',
    '%41',
    '%25',
    '%252e',
    '%7f',
  ],
  ...[
    '%c0%af',
    '%c2%80',
    '%e0%80%ae',
    '%e2%82%ac',
    '%ed%a0%80',
    '%f0%9f%98%80',
    '%f4%90%80%80',
    '%f5',
    '%80',
    '%e2%82',
    '%4',
    '%zz',
    '%',
  ],
  ...['/../', '/./', '/..;x/', '//', '..', '.;', '..%3b'],
];

/** Paths of request targets, as policy/evaluate normalises them, against a slow reader of RFC 3986 and docs/security.md. */
export const paths: Target = {
  next: (random) => {
    const how = random(2) === 0 ? 'A' : 'R'; // whether parameters are allowed
    if (random(32) === 0) return `${how}/${randomOctets(24, random)}`;
    return how + mutateText(pick(SEEDS, random), PIECES, 4, random);
  },

  check: (input) => {
    const [matching, raw] = [input[0] === 'A' ? ALLOW : DEFAULT_PATH_MATCHING, input.slice(1)];
    const normal = normalizePath(raw, matching);
    const expected = reference(raw, matching.parameters === 'Allow');
    if (typeof normal !== 'string') {
      assert.equal(expected, null, `refused: ${normal.refused}`);
      return normal.refused;
    }
    assert.equal(normal, expected);
    assert.equal(normalizePath(normal, matching), normal);
    return normal === raw ? 'canonical' : 'normalised';
  },
};

/** Canonical form; null where it must be refused, for whatever reason. */
function reference(raw: string, parameters: boolean): string | null {
  if (!raw.startsWith('/')) return null;
  const segments: string[] = [];
  let open = true; // a slash at the end
  for (const part of raw.slice(1).split(/\/+/)) {
    const octets = octetsOf(part);
    if (octets === null) return null;
    const bytes = Buffer.from(octets.map(({ octet }) => octet));
    if (!Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes)) return null;
    const text = bytes.toString('latin1');
    if (text.includes(';') && (!parameters || /^\.{0,2};/.test(text))) return null;
    open = text === '' || text === '.' || text === '..';
    if (text === '..' && segments.pop() === undefined) return null;
    if (!open) segments.push(octets.map(written).join(''));
  }
  return segments.length === 0 ? '/' : `/${segments.join('/')}${open ? '/' : ''}`;
}

interface Octet {
  readonly octet: number;
  readonly encoded: boolean;
}

/** Null for what may stand nowhere. */
function octetsOf(part: string): readonly Octet[] | null {
  if (/%(?![0-9a-fA-F]{2})/.test(part) || /[\\#?\x00-\x20\x7f-\uffff]/.test(part)) return null;
  const octets = [...part.matchAll(/%(..)|./gs)].map(
    ([character, hex]): Octet =>
      hex === undefined
        ? { octet: character.charCodeAt(0), encoded: false }
        : { octet: Number.parseInt(hex, 16), encoded: true },
  );
  return octets.some(({ octet }) => octet < 0x20 || octet === 0x7f || octet === 0x2f || octet === 0x5c) ? null : octets;
}

function written({ octet, encoded }: Octet): string {
  const character = String.fromCharCode(octet);
  const stays = encoded ? /[A-Za-z0-9._~-]/ : /[A-Za-z0-9._~!$&'()*+,;=:@-]/;
  return stays.test(character) ? character : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
}

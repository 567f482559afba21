import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PathMatching } from '../bundle/types.ts';
import { DEFAULT_PATH_MATCHING, normalizePath } from './normalize-path.ts';
import { decodedSegments } from './testing/decoded-segments.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 8000) };
const ALLOW: PathMatching = { ...DEFAULT_PATH_MATCHING, parameters: 'Allow' };

const forwarded: readonly (readonly [name: string, raw: string, expected: string])[] = [
  ['a plain path is unchanged', '/orders/42', '/orders/42'],
  ['the root', '/', '/'],
  ['a trailing slash stays', '/orders/', '/orders/'],
  ['sub-delimiters, ":" and "@" stay', "/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b"],
  ['a leading dot that is no dot segment', '/.well-known/..a/...', '/.well-known/..a/...'],
  ['dot segments are resolved', '/a/./b/../c', '/a/c'],
  ['encoded dot segments are resolved', '/a/%2e/b/%2E%2e/.%2E/c', '/c'],
  ['a final dot segment leaves a slash', '/a/b/..', '/a/'],
  ['a final single dot leaves a slash', '/a/.', '/a/'],
  ['down to the root', '/a/..', '/'],
  ['slashes are merged', '//a///b//', '/a/b/'],
  ['slashes are merged before dot segments', '/a//../b', '/b'],
  ['unreserved octets are decoded', '/%41%7a%30%2D%5F%7E', '/Az0-_~'],
  ['hex digits become upper case', '/a%3ab%c3%a9', '/a%3Ab%C3%A9'],
  ['decoded once, never twice', '/%252e%252e/%252f', '/%252e%252e/%252f'],
  ['an encoded blank stays encoded', '/a%20b', '/a%20b'],
  ['encoded "?" and "#" are data', '/a%3fb%23c', '/a%3Fb%23c'],
  ['harmless characters that are no pchar are encoded', '/{a}|"<b>^`[c]', '/%7Ba%7D%7C%22%3Cb%3E%5E%60%5Bc%5D'],
  ['two, three and four octets of UTF-8', '/%C2%80%E2%82%AC%F0%9F%98%80', '/%C2%80%E2%82%AC%F0%9F%98%80'],
];
for (const [name, raw, expected] of forwarded) {
  test(`path: ${name}`, () => assert.equal(normalizePath(raw, DEFAULT_PATH_MATCHING), expected));
}

const refused: readonly (readonly [name: string, raw: string, reason: string])[] = [
  ['empty', '', 'not_absolute'],
  ['asterisk', '*', 'not_absolute'],
  ['absolute form', 'http://a/b', 'not_absolute'],
  ['above the root', '/..', 'above_root'],
  ['above the root, encoded', '/a/%2e%2e/%2e%2e/b', 'above_root'],
  ['encoded slash', '/a%2fb', 'encoded_separator'],
  ['encoded slash, upper case', '/a%2Fb', 'encoded_separator'],
  ['encoded backslash', '/a%5cb', 'encoded_separator'],
  ['backslash', '/a\\b', 'backslash'],
  ['encoded NUL', '/a%00', 'control_character'],
  ['encoded line feed', '/a%0a', 'control_character'],
  ['encoded DEL', '/a%7f', 'control_character'],
  ['tab', '/a\tb', 'control_character'],
  ['blank', '/a b', 'control_character'],
  ['raw octet >= 0x80', '/caf\xe9', 'not_ascii'],
  ['overlong slash', '/a%c0%afb', 'invalid_utf8'],
  ['overlong dot, three octets', '/%e0%80%ae', 'invalid_utf8'],
  ['surrogate', '/%ed%a0%80', 'invalid_utf8'],
  ['above U+10FFFF', '/%f4%90%80%80', 'invalid_utf8'],
  ['cut short', '/%e2%82', 'invalid_utf8'],
  ['lone continuation', '/%80', 'invalid_utf8'],
  ['bare percent', '/a%', 'invalid_percent_encoding'],
  ['one digit', '/a%4', 'invalid_percent_encoding'],
  ['no hex', '/a%zz', 'invalid_percent_encoding'],
  ['%u', '/a%u0041', 'invalid_percent_encoding'],
  ['percent across a slash', '/a%4/1', 'invalid_percent_encoding'],
  ['fragment', '/a#b', 'query_or_fragment'],
  ['parameters', '/a;b=c', 'parameters'],
  ['encoded parameters', '/a%3Bb', 'parameters'],
  ['a refused segment that dots would remove', '/a%00/../b', 'control_character'],
];
for (const [name, raw, reason] of refused) {
  test(`path refused: ${name}`, () => assert.deepEqual(normalizePath(raw, DEFAULT_PATH_MATCHING), { refused: reason }));
}

test('path: parameters are part of the segment when allowed, except on dot segments', () => {
  assert.equal(normalizePath('/a;b=c/d%3b', ALLOW), '/a;b=c/d%3B');
  for (const raw of ['/a/..;/b', '/a/.;x/b', '/a/%2e%2e%3bx', '/a/;x/b']) {
    assert.deepEqual(normalizePath(raw, ALLOW), { refused: 'parameters' }, raw);
  }
});

const pieces = fc.constantFrom(
  ...[
    '/',
    '/',
    '/',
    '//',
    '.',
    '..',
    '/../',
    '%2e',
    '%2E',
    '%2f',
    '%5C',
    '%00',
    '%0d',
    '%7f',
    ';',
    '%3B',
    '%252e',
    '%c3%a9',
  ],
  ...[
    '%C0%AE',
    '%e2%82%ac',
    '%ed%a0%80',
    '%f0%9f%98%80',
    '%80',
    '%',
    '%4',
    '%41',
    '%7E',
    '%3a',
    '%20',
    '%25',
    'a',
    'B',
    '~',
  ],
  ...[':', '@', '{', '|', '+', '=', ' ', '\\', '#', '\x80', '\u0100', '^'],
);
const paths = fc.array(pieces, { maxLength: 10 }).map((parts) => `/${parts.join('')}`);
const tame = fc
  .array(fc.constantFrom('/', '/', '/..', '/.', '%2e', '.', 'a', 'B', '%41', '%c3%a9', '%3a', '%20', ':', '{', '%252e'))
  .map((parts) => `/${parts.join('')}`);

/** The rules of docs/security.md in the plainest words: decoded segments and whether a slash ends them, or null. */
function reference(raw: string, parameters: boolean): { segments: string[]; slash: boolean } | null {
  if (!/^\/[\x21-\x7e]*$/.test(raw) || /[\\#?]/.test(raw)) return null;
  if (/%(?![0-9a-f]{2})|%2f|%5c|%[01]|%7f/i.test(raw)) return null;
  let decoded: string[];
  try {
    decoded = raw.split('/').slice(1).map(decodeURIComponent);
  } catch {
    return null;
  }
  if (decoded.some((segment) => segment.includes(';') && (!parameters || /^\.{0,2};/.test(segment)))) return null;
  const segments: string[] = [];
  for (const segment of decoded) {
    if (segment === '..' && segments.length === 0) return null;
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return { segments, slash: segments.length > 0 && ['', '.', '..'].includes(decoded.at(-1)!) };
}

test('path: what is decided on is what is forwarded, as a plain reference reads it', () => {
  fc.assert(
    fc.property(fc.oneof(paths, tame), fc.boolean(), (raw, parameters) => {
      const result = normalizePath(raw, parameters ? ALLOW : DEFAULT_PATH_MATCHING);
      const expected = reference(raw, parameters);
      if (typeof result !== 'string') {
        assert.equal(expected, null);
        return;
      }
      assert.deepEqual({ segments: decodedSegments(result), slash: result !== '/' && result.endsWith('/') }, expected);
      // The next reader of the forwarded bytes comes to the same segments.
      assert.deepEqual(reference(result, parameters), expected);
    }),
    RUNS,
  );
});

test('path: the result is a fixed point, of this function and of the WHATWG URL parser', () => {
  fc.assert(
    fc.property(fc.oneof(paths, tame), (raw) => {
      const result = normalizePath(raw, ALLOW);
      if (typeof result !== 'string') return;
      assert.equal(normalizePath(result, ALLOW), result);
      assert.equal(new URL(`http://host${result}`).pathname, result);
      assert.match(result, /^(?:[!$&'()*+,\-./0-9:;=@A-Z_a-z~]|%[0-9A-F]{2})+$/);
      for (const [triplet] of result.matchAll(/%../g)) assert.doesNotMatch(unescape(triplet), /[A-Za-z0-9\-._~]/);
    }),
    RUNS,
  );
});

test('path: agrees with the WHATWG URL parser where that merges and refuses nothing', () => {
  fc.assert(
    fc.property(tame, (raw) => {
      fc.pre(!raw.includes('//'));
      const result = normalizePath(raw, DEFAULT_PATH_MATCHING);
      if (typeof result !== 'string') return;
      const url = new URL(`http://host${raw}`).pathname;
      fc.pre(!url.includes('//'));
      assert.deepEqual(result.split('/').map(decodeURIComponent), url.split('/').map(decodeURIComponent));
    }),
    RUNS,
  );
});

test('path: a canonical path comes back as it is for any text of pchars', () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]{0,8}$/);
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1 }), fc.boolean(), (segments, slash) => {
      const raw = `/${segments.join('/')}${slash ? '/' : ''}`;
      assert.equal(normalizePath(raw, DEFAULT_PATH_MATCHING), raw);
    }),
    RUNS,
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parameterNames, parsePattern } from './path-pattern.ts';

function parsed(text: string) {
  const result = parsePattern(text);
  assert.ok(result.ok, text);
  return result.value;
}

test('pattern: literals are decoded, parameters named, ** and a trailing slash noted', () => {
  assert.deepEqual(parsed('/users/{id}/caf%C3%A9/**'), {
    text: '/users/{id}/caf%C3%A9/**',
    segments: [
      { kind: 'literal', text: 'users' },
      { kind: 'parameter', name: 'id' },
      { kind: 'literal', text: 'café' },
    ],
    rest: true,
    trailingSlash: false,
  });
  assert.deepEqual(parsed('/'), { text: '/', segments: [], rest: false, trailingSlash: false });
  assert.equal(parsed('/a/').trailingSlash, true);
  assert.deepEqual(parameterNames(parsed('/a/{b}/{c}')), ['b', 'c']);
});

const broken: readonly (readonly [text: string, remedy: RegExp])[] = [
  ['orders', /write an absolute path/],
  ['', /write an absolute path/],
  ['/a//b', /write one "\/"/],
  ['//', /write one "\/"/],
  ['/a/**/b', /only the last segment/],
  ['/a/**/', /end it with/],
  ['/a/*', /literal, \{name\}/],
  ['/a*', /literal, \{name\}/],
  ['/{id}.json', /literal, \{name\}/],
  ['/{1}', /literal, \{name\}/],
  ['/{}', /literal, \{name\}/],
  ['/{a}/{a}', /name of its own/],
  ['/a/../b', /resolves to/],
  ['/a/%2e', /resolves to/],
  ['/a%zz', /invalid percent-encoding/],
  ['/a%2Fb', /can never match/],
  ['/a\\b', /can never match/],
  ['/a?b=c', /never part of a match/],
  ['/a#b', /never part of a match/],
];
for (const [text, remedy] of broken) {
  test(`pattern refused: ${text}`, () => {
    const result = parsePattern(text);
    assert.ok(!result.ok);
    assert.match(result.message, remedy);
  });
}

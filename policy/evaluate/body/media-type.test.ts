import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatOf, parseMediaType } from './media-type.ts';

const parsed: readonly (readonly [text: string, type: string, parameters: readonly (readonly [string, string])[]])[] = [
  ['application/json', 'application/json', []],
  ['Application/JSON', 'application/json', []],
  ['application/json;charset=utf-8', 'application/json', [['charset', 'utf-8']]],
  ['application/json ; Charset="utf-8"', 'application/json', [['charset', 'utf-8']]],
  [
    'a/b;x=1; y="two words"',
    'a/b',
    [
      ['x', '1'],
      ['y', 'two words'],
    ],
  ],
];
for (const [text, type, parameters] of parsed) {
  test(`media type: ${text}`, () => assert.deepEqual(parseMediaType(text), { type, parameters }));
}

const refused = [
  '',
  'json',
  '/json',
  'application/',
  ' application/json',
  'application/json,',
  'application/json, text/html',
  'application/json;',
  'application/json;charset',
  'application/json;charset=',
  'application/json;charset =utf-8',
  'application/json; charset="utf-8',
  'application/json; charset="\\u"',
  'application/json\n',
  'application/json;a=\u{e9}',
  `application/json;a=${'x'.repeat(256)}`,
];
for (const text of refused) {
  test(`media type refused: ${JSON.stringify(text.slice(0, 40))}`, () => assert.equal(parseMediaType(text), null));
}

test('media types of JSON and forms', () => {
  assert.equal(formatOf('application/problem+json'), 'json');
  assert.equal(formatOf('application/json'), 'json');
  assert.equal(formatOf('application/x-www-form-urlencoded'), 'form');
  assert.equal(formatOf('application/jsonp'), 'opaque');
  assert.equal(formatOf('text/json'), 'opaque');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseForm } from './parse-form.ts';

const parsed: readonly (readonly [text: string, value: Readonly<Record<string, string>>])[] = [
  ['a=1&b=two+words', { a: '1', b: 'two words' }],
  ['a=%C3%A9%3D%26&b', { a: 'é=&', b: '' }],
  ['=x', { '': 'x' }],
  ['a=b=c', { a: 'b=c' }],
];
for (const [text, value] of parsed) {
  test(`form: ${text}`, () => assert.deepEqual(parseForm(text), { ok: true, value }));
}

const refused: readonly (readonly [text: string, pointer: string, message: RegExp])[] = [
  ['a=1&a=2', '/a', /more than once/],
  ['a=1&%61=2', '/a', /more than once/],
  ['a=1&&b=2', '', /empty pair/],
  ['a=1&', '', /empty pair/],
  ['a=1;b=2', '', /not a form/],
  ['a=é', '', /not a form/],
  ['a=1\n', '', /not a form/],
  ['a=%', '', /no UTF-8/],
  ['a=%ff', '', /no UTF-8/],
  ['%C0%80=a', '', /no UTF-8/],
];
for (const [text, pointer, message] of refused) {
  test(`form refused: ${JSON.stringify(text)}`, () => {
    const read = parseForm(text);
    assert.ok(!read.ok);
    assert.equal(read.pointer, pointer);
    assert.match(read.message, message);
  });
}

test('form: __proto__ is a member like any other', () => {
  const read = parseForm('__proto__=x&constructor=y');
  assert.ok(read.ok);
  assert.deepEqual(Object.keys(read.value as object), ['__proto__', 'constructor']);
  assert.equal(Object.getPrototypeOf(read.value), Object.prototype);
});

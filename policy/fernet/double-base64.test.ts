import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeDoubleBase64, encodeDoubleBase64 } from './double-base64.ts';
import { GOOD_VECTOR } from './testing/spec-vectors.ts';

const twice = encodeDoubleBase64(GOOD_VECTOR.token);

test('a token in base64 once more begins with Z0FBQUFB and is read again', () => {
  assert.match(twice, /^Z0FBQUFB/);
  assert.equal(decodeDoubleBase64(twice), GOOD_VECTOR.token);
});

for (const [name, text] of [
  ['without padding', encodeDoubleBase64('gAAAAA==').replaceAll('=', '')],
  ['junk within', `${twice.slice(0, 8)}!${twice.slice(8)}`],
  ['a line break', `${twice}\n`],
  ['once only', GOOD_VECTOR.token],
] as const) {
  test(`no base64 of a token: ${name}`, () => assert.equal(decodeDoubleBase64(text), null));
}

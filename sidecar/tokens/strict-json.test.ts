import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseStrictJson, parseStrictJsonObject } from './strict-json.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 1000) };

describe('strict JSON refuses what two readers may read differently', () => {
  const cases: readonly { readonly name: string; readonly refused: string; readonly honest: string }[] = [
    { name: 'a repeated member', refused: '{"a":1,"a":2}', honest: '{"a":1,"b":2}' },
    { name: 'a repeated member spelled with an escape', refused: '{"a":1,"\\u0061":2}', honest: '{"a":1,"\\u0062":2}' },
    { name: 'a repeated member after a nested object', refused: '{"a":{"b":1},"a":2}', honest: '{"a":{"a":1},"b":2}' },
    { name: 'a repeated member in a nested object', refused: '[{"x":{"a":1,"a":1}}]', honest: '[{"a":1},{"a":1}]' },
    { name: 'a repeated member after an array', refused: '{"a":["a","b"],"a":1}', honest: '{"a":["a","a"],"b":"a"}' },
    { name: 'a repeated empty name', refused: '{"":1,"":2}', honest: '{"":1}' },
    { name: 'a repeated name with a quote in it', refused: '{"\\"":1,"\\"":2}', honest: '{"\\"":1,"\\\\":2}' },
    { name: '__proto__ twice', refused: '{"__proto__":1,"__proto__":2}', honest: '{"__proto__":1}' },
    { name: 'nesting of five', refused: '[[[[[]]]]]', honest: '[[[[]],[[]]],[[[]]]]' },
    { name: 'nested objects, five deep', refused: '{"a":{"a":{"a":{"a":{}}}}}', honest: '{"a":{"a":{"a":{}}}}' },
    { name: 'a byte order mark', refused: '\ufeff{}', honest: '{}' },
    { name: 'something after the value', refused: '{} {}', honest: '{} ' },
    { name: 'single quotes', refused: "{'a':1}", honest: '{"a":1}' },
    { name: 'a trailing comma', refused: '{"a":1,}', honest: '{"a":1}' },
    { name: 'a comment', refused: '{/**/}', honest: '{}' },
    { name: 'NaN', refused: '[NaN]', honest: '[0]' },
    { name: 'a raw control byte in a string', refused: '"a\nb"', honest: '"a\\nb"' },
    { name: 'nothing', refused: '', honest: 'null' },
  ];
  for (const { name, refused, honest } of cases) {
    it(name, () => {
      assert.equal(parseStrictJson(refused, 4), undefined);
      assert.deepEqual(parseStrictJson(honest, 4), JSON.parse(honest));
    });
  }

  it('takes only objects where an object is asked for', () => {
    for (const text of ['[]', 'null', '1', '"x"', 'true']) assert.equal(parseStrictJsonObject(text, 4), undefined);
    assert.deepEqual(parseStrictJsonObject('{"a":[]}', 4), { a: [] });
  });

  it('__proto__ is a member like any other and reaches no prototype', () => {
    const parsed = parseStrictJsonObject('{"__proto__":{"admin":true}}', 4);
    assert.ok(parsed !== undefined && Object.hasOwn(parsed, '__proto__'));
    assert.equal(parsed['admin'], undefined);
    assert.equal(Object.getPrototypeOf(parsed), Object.prototype);
  });
});

describe('strict JSON and JSON.parse', () => {
  it('agree on every value that JSON.stringify writes, with any spacing', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.constantFrom('', ' ', '\t', '\n'), (value, space) => {
        const text = JSON.stringify(value, null, space);
        assert.deepEqual(parseStrictJson(text, 64), JSON.parse(text));
      }),
      RUNS,
    );
  });

  it('what JSON.parse refuses is refused, and nothing is read differently', () => {
    const fragments = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '"\\u0061"',
      '"',
      '\\',
      '1',
      'null',
      ' ',
    );
    fc.assert(
      fc.property(fc.array(fragments, { maxLength: 14 }), (parts) => {
        const text = parts.join('');
        const strict = parseStrictJson(text, 64);
        const plain = parseOrUndefined(text);
        if (strict !== undefined) assert.deepEqual(strict, plain);
        else if (plain !== undefined) assert.ok(repeatsName(text), `refused ${text} without a reason`);
      }),
      { numRuns: RUNS.numRuns * 10 },
    );
  });
});

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The slow way: JSON.parse keeps the last of repeated members, so fewer come back than colons went in. */
function repeatsName(text: string): boolean {
  let members = 0;
  JSON.parse(text, (_key, value) => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) members += Object.keys(value).length;
    return value;
  });
  return members < text.split(':').length - 1;
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseStrictJson } from './strict-json.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 1000) };

interface Case {
  readonly name: string;
  readonly refused: string;
  readonly pointer: string;
  readonly message: RegExp;
  readonly honest: string;
}

const twice = { message: /more than once/ };
const deep = { message: /nest at most 4/ };
const invalid = { pointer: '', message: /not valid JSON/ };
const inexact = { message: /write it as a string/ };
const half = { message: /half a surrogate pair/ };

const cases: readonly Case[] = [
  { name: 'a repeated member', refused: '{"a":1,"a":2}', pointer: '/a', ...twice, honest: '{"a":1,"b":2}' },
  {
    name: 'one spelled with an escape',
    refused: '{"a":1,"\\u0061":2}',
    pointer: '/a',
    ...twice,
    honest: '{"a":1,"\\u0062":2}',
  },
  {
    name: 'one after an object',
    refused: '{"a":{"b":1},"a":2}',
    pointer: '/a',
    ...twice,
    honest: '{"a":{"a":1},"b":2}',
  },
  {
    name: 'one in an object',
    refused: '[{},{"x":{"a":1,"a":1}}]',
    pointer: '/1/x/a',
    ...twice,
    honest: '[{"a":1},{"a":1}]',
  },
  {
    name: 'one after an array',
    refused: '{"a":["a","b"],"a":1}',
    pointer: '/a',
    ...twice,
    honest: '{"a":["a","a"],"b":"a"}',
  },
  {
    name: 'one after empty ones',
    refused: '{"a":[],"b":{},"a":1}',
    pointer: '/a',
    ...twice,
    honest: '{"a":[],"b":{},"c":1}',
  },
  { name: 'a repeated empty name', refused: '{"":1,"":2}', pointer: '/', ...twice, honest: '{"":1}' },
  {
    name: 'a name with a quote in it',
    refused: '{"\\"":1,"\\"":2}',
    pointer: '/"',
    ...twice,
    honest: '{"\\"":1,"\\\\":2}',
  },
  {
    name: 'a name that a pointer escapes',
    refused: '{"a/~":1,"a/~":2}',
    pointer: '/a~1~0',
    ...twice,
    honest: '{"a/~":1}',
  },
  {
    name: '__proto__ twice',
    refused: '{"__proto__":1,"__proto__":2}',
    pointer: '/__proto__',
    ...twice,
    honest: '{"__proto__":1}',
  },
  { name: 'nesting of five', refused: '[[],[[[[]]]]]', pointer: '/1/0/0/0', ...deep, honest: '[[[[]],[[]]],[[[]]]]' },
  {
    name: 'objects, five deep',
    refused: '{"a":{"a":{"a":{"a":{}}}}}',
    pointer: '/a/a/a/a',
    ...deep,
    honest: '{"a":{"a":{"a":{}}}}',
  },
  {
    name: '2^53',
    refused: '{"a":[9007199254740992]}',
    pointer: '/a/0',
    ...inexact,
    honest: '{"a":[9007199254740991]}',
  },
  { name: '-2^53', refused: '[1,-9007199254740992]', pointer: '/1', ...inexact, honest: '[1,-9007199254740991]' },
  {
    name: 'an order id of 19 digits',
    refused: '{"id":1234567890123456789}',
    pointer: '/id',
    ...inexact,
    honest: '{"id":"1234567890123456789"}',
  },
  {
    name: 'an infinite number',
    refused: '[0,1e309]',
    pointer: '/1',
    message: /too large/,
    honest: '[0,1e308,1.5e20,-0.1,0e9]',
  },
  { name: 'half a character', refused: '{"a":"\\ud83d"}', pointer: '/a', ...half, honest: '{"a":"\\ud83d\\ude00"}' },
  {
    name: 'half a character in a name',
    refused: '[{"\\ude00":1}]',
    pointer: '/0/\ude00',
    ...half,
    honest: '[{"\ud83d\ude00":1}]',
  },
  { name: 'a byte order mark', refused: '\ufeff{}', ...invalid, honest: '{}' },
  { name: 'something after the value', refused: '{} {}', ...invalid, honest: '{} ' },
  { name: 'single quotes', refused: "{'a':1}", ...invalid, honest: '{"a":1}' },
  { name: 'a trailing comma', refused: '{"a":1,}', ...invalid, honest: '{"a":1}' },
  { name: 'a comment', refused: '{/**/}', ...invalid, honest: '{}' },
  { name: 'NaN', refused: '[NaN]', ...invalid, honest: '[0]' },
  { name: 'a raw control byte', refused: '"a\nb"', ...invalid, honest: '"a\\nb"' },
  { name: 'nothing', refused: '', ...invalid, honest: 'null' },
  {
    name: 'an endless name',
    refused: `[{"a":0,"${'x'.repeat(1025)}":1}]`,
    pointer: `/0/${'x'.repeat(1025)}`,
    message: /named too long/,
    honest: `{"${'x'.repeat(1024)}":1,"${'y'.repeat(1024)}":[2]}`,
  },
  {
    name: 'endless names together',
    refused: `{"${'x'.repeat(512)}":[{"${'y'.repeat(513)}":1}]}`,
    pointer: `/${'x'.repeat(512)}/0/${'y'.repeat(513)}`,
    message: /named too long/,
    honest: `{"${'x'.repeat(512)}":[{"${'y'.repeat(512)}":1}]}`,
  },
  { name: 'a million brackets', refused: '['.repeat(1_000_000), ...invalid, honest: '[]' },
];

describe('strict JSON refuses what two readers may read differently', () => {
  for (const { name, refused, pointer, message, honest } of cases) {
    it(name, () => {
      const read = parseStrictJson(refused, 4);
      assert.ok(!read.ok);
      assert.equal(read.pointer, pointer);
      assert.match(read.message, message);
      assert.deepEqual(parseStrictJson(honest, 4), { ok: true, value: JSON.parse(honest) });
    });
  }

  it('of a megabyte of short strings is read in time linear in its size', () => {
    const started = performance.now();
    assert.ok(parseStrictJson(`[${'"a",'.repeat(250_000)}"\\n"]`, 4).ok);
    assert.ok(performance.now() - started < 2000);
  });

  it('__proto__ is a member like any other and reaches no prototype', () => {
    const read = parseStrictJson('{"__proto__":{"admin":true}}', 4);
    assert.ok(read.ok && typeof read.value === 'object' && read.value !== null);
    assert.ok(Object.hasOwn(read.value, '__proto__'));
    assert.equal((read.value as Record<string, unknown>)['admin'], undefined);
  });
});

describe('strict JSON and JSON.parse', () => {
  it('agree on every value that JSON.stringify writes, with any spacing', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.constantFrom('', ' ', '\t', '\n'), (value, space) => {
        const text = JSON.stringify(value, null, space);
        const read = parseStrictJson(text, 64);
        if (read.ok) assert.deepEqual(read.value, JSON.parse(text));
        else assert.match(read.message, /string|surrogate/, `refused ${text}`);
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
        if (strict.ok) assert.deepEqual(strict.value, plain);
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

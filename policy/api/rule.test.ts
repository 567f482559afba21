import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { parseHostPattern } from '../evaluate/host-pattern.ts';
import { parsePattern } from '../evaluate/path-pattern.ts';
import { HOST_PATTERN, PATH_PATTERN } from './common-fields.ts';
import { type Field, fieldOf } from './field.ts';
import { kinds } from './kinds.ts';
import type { Rule } from './rule.ts';

function rulesOf(field: Field): Rule[] {
  const inner = [...Object.values(field.properties ?? {}), field.items, field.additionalProperties];
  return [...(field.rules ?? []), ...inner.flatMap((member) => (member ? rulesOf(member) : []))];
}

const rules = kinds.flatMap((kind) => rulesOf(fieldOf(kind.spec)));
const patterns = new Map<string, Rule>();
for (const rule of rules) {
  const [, pattern] = /^self\.matches\(r'([^']*)'\)$/.exec(rule.cel) ?? [];
  if (pattern !== undefined) patterns.set(pattern, rule);
}

/** Texts that every pattern may be near to. */
const near = [
  '90s',
  '1h30m',
  'place-order',
  '10.0.0.0/8',
  '*.example.com',
  'GET',
  '/a/{id}/**',
  '/a b',
  'https://[::1]:8',
  'orders:read',
  '/~0/~1',
  '*',
  "a'b^`|~",
  'é',
];

test('there are patterns to compare', () => assert.ok(patterns.size >= 12, String(patterns.size)));

for (const [pattern, rule] of patterns) {
  test(`JavaScript and RE2 agree on ${pattern}`, () => {
    const re2 = RE2JS.compile(pattern);
    const agree = (text: string): void => {
      assert.equal(rule.violations(text).length === 0, re2.matcher(text).find(), JSON.stringify(text));
    };
    near.forEach(agree);
    const characters = fc.constantFrom(...new Set(`${near.join('')}${pattern}\n\t\0\x7f`));
    const pieces = fc.oneof(fc.constantFrom(...near), fc.string({ unit: characters, maxLength: 6 }));
    const runs = Number(process.env['FC_RUNS'] ?? 200);
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 4 }), (parts) => agree(parts.join(''))),
      { numRuns: runs },
    );
  });
}

test('every message says something and ends without a stop', () => {
  for (const { message } of rules) assert.match(message, /^.{10,400}[^.]$/);
});

// `later` is what only the compiler refuses, `strict` what only the schema does.
const parsers = [
  { pattern: PATH_PATTERN, parse: parsePattern, later: /%|\{(\w+)\}.*\{\1\}|\/[.]/, strict: /[; ]/ },
  { pattern: HOST_PATTERN, parse: parseHostPattern, later: /^\[|.{254}/, strict: /^$/ },
];

for (const { pattern, parse, later, strict } of parsers) {
  test(`the schema's ${pattern} takes what the evaluator parses`, () => {
    const expression = new RegExp(pattern);
    const characters = fc.constantFrom(...'/{}*?#%;.[]:aZ_-0 \\é');
    const words = fc.constantFrom('/orders', '/{id}', '/{other}', '/**', '%20', '*.', 'api.example');
    const pieces = fc.oneof(words, fc.string({ unit: characters, maxLength: 3 }));
    const runs = Number(process.env['FC_RUNS'] ?? 2000);
    fc.assert(
      fc.property(fc.array(pieces, { minLength: 1, maxLength: 5 }), (parts) => {
        const text = parts.join('') || '/';
        const [taken, parsed] = [expression.test(text), parse(text).ok];
        if (taken && !later.test(text)) assert.ok(parsed, text);
        if (!taken && !strict.test(text)) assert.ok(!parsed, text);
      }),
      { numRuns: runs },
    );
  });
}

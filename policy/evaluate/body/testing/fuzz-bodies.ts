import assert from 'node:assert/strict';
import { ConditionContext } from '../../condition-context.ts';
import { randomBelow } from '../../testing/random-below.ts';
import type { BodyConfig } from '../body-config.ts';
import { type BodyHead, type BodyValidator, compileBody } from '../compile-body.ts';

/** What became of the bodies of a fuzz run. */
export interface FuzzedBodies {
  readonly executions: number;
  readonly accepted: number;
  /** How many were refused with each code. */
  readonly refused: Readonly<Record<string, number>>;
}

const CONTEXT = new ConditionContext(
  { method: 'POST', query: '?a=1', headers: ['x-a', '1'], clientAddress: '10.0.0.1', receivedAt: Date.UTC(2026, 0, 5) },
  { sub: 'u1' },
  { params: { id: 'u1' } },
);

/** A schema with a keyword of every kind, and rules that loop, compare, search and parse. */
const CONFIG: BodyConfig = {
  contentTypes: ['application/json', 'application/x-www-form-urlencoded'],
  maxBytes: 4096,
  schema: {
    type: 'object',
    required: ['a'],
    properties: {
      a: {
        type: ['string', 'number', 'array', 'null'],
        maxLength: 64,
        pattern: '^[^\\x00]*$',
        uniqueItems: true,
        multipleOf: 0.5,
      },
      b: { $ref: '#/$defs/tree' },
      t: { type: 'string', format: 'date-time' },
      u: { type: 'string', format: 'uri' },
    },
    patternProperties: { '^n_': { type: 'number', exclusiveMinimum: 0 } },
    propertyNames: { maxLength: 16 },
    anyOf: [{ required: ['b'] }, { properties: { c: { enum: ['x', 1, null, { y: [] }] } } }],
    if: { properties: { a: { const: 'limit' } } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { required: ['t'] },
    dependentRequired: { u: ['t'] },
    unevaluatedProperties: { type: ['string', 'number', 'boolean', 'null', 'object', 'array'] },
    $defs: {
      tree: {
        type: ['object', 'number'],
        properties: { l: { $ref: '#/$defs/tree' }, r: { $ref: '#/$defs/tree' } },
        maxProperties: 4,
      },
    },
  },
  rules: [
    { rule: '!has(body.t) || timestamp(body.t) <= now', message: 't must be past' },
    { rule: 'type(body.a) != list || body.a.all(x, x != "" && !(x in body.a.filter(y, y != x)))', message: 'a is odd' },
    { rule: 'type(body.a) != string || !body.a.matches("^(x+x+)+y$")', message: 'a is x' },
  ],
};

/** What a mutation may put into a body. */
const PIECES = [
  ...'{}[],:"\\&=%+;-.eE0123456789 \n\0',
  ...[
    '"a":',
    '"__proto__":',
    '"constructor":{}',
    '\\u0061',
    '\\ud800',
    'null',
    'true',
    '1e999',
    '9007199254740993',
    '\ufeff',
    '😀',
  ],
  ...['a=', '&a=1', '%61', '%ff', 'a=%', '[[[[[[[[', '{"b":', '"t":"2026-01-05T00:00:00Z"', '19.99'],
];
const HEADS: readonly BodyHead[] = [
  { contentType: 'application/json', contentEncoding: null },
  { contentType: 'application/json; charset=utf-8', contentEncoding: 'identity' },
  { contentType: 'application/x-www-form-urlencoded', contentEncoding: null },
  { contentType: null, contentEncoding: null },
  { contentType: 'application/json', contentEncoding: 'gzip' },
];

/** Bodies that begin valid, or near it. */
const SEEDS = [
  '{"a":"x","c":"x"}',
  '{"a":[1,2,3],"c":null}',
  '{"a":1.5,"b":{"l":{"l":1,"r":{}},"r":2},"n_x":3}',
  '{"a":null,"c":{"y":[]},"t":"2026-01-01T00:00:00Z","u":"https://example.com/x"}',
  '{"a":"\\u00e9\\"\\ud83d\\ude00","c":1,"free":[{"x":[[]]},true]}',
  '[1,"x",{"a":{}}]',
  'a=x&c=x',
  'a=%C3%A9+x&c=x&b2=%26',
  '',
];

/**
 * Validates `executions` bodies, valid, nearly valid and random, and asserts of each: nothing throws, the same body gets the same
 * answer and is not touched, an answer names no more than 33 places, an accepted JSON body stays accepted when what `JSON.parse`
 * reads is written again. The same seed (an integer) tries the same bodies.
 */
export function fuzzBodies(executions: number, seed: number): FuzzedBodies {
  const compiled = compileBody(CONFIG);
  assert.ok(compiled.ok, JSON.stringify(compiled));
  const validator = compiled.value;
  const random = randomBelow(seed);
  let accepted = 0;
  const refused: Record<string, number> = {};
  for (let run = 0; run < executions; run++) {
    const bytes = randomBody(random);
    const head = HEADS[random(8) === 0 ? random(HEADS.length) : random(3)]!;
    try {
      const code = tryBody(validator, bytes, head);
      if (code === null) accepted++;
      else refused[code] = (refused[code] ?? 0) + 1;
    } catch (cause) {
      throw new Error(`seed ${seed}, run ${run}: ${JSON.stringify(head)} ${bytes.toString('latin1')}`, { cause });
    }
  }
  return { executions, accepted, refused };
}

function tryBody(validator: BodyValidator, bytes: Buffer, head: BodyHead): string | null {
  const before = Buffer.from(bytes);
  const answer = validator.validate(bytes, head, CONTEXT);
  assert.deepEqual(validator.validate(bytes, head, CONTEXT), answer);
  assert.ok(bytes.equals(before));
  if (answer === null) {
    if (!head.contentType?.startsWith('application/json')) return null;
    const again = JSON.stringify(JSON.parse(bytes.toString('utf8')));
    // 1e16 may be written, but not with all its digits.
    if (!/\d{16}/.test(again)) assert.equal(validator.validate(Buffer.from(again), head, CONTEXT), null);
    return null;
  }
  assert.ok(answer.violations.length >= 1 && answer.violations.length <= 33);
  return answer.code;
}

function randomBody(random: (limit: number) => number): Buffer {
  if (random(16) === 0) return Buffer.from(Array.from({ length: random(64) }, () => random(256)));
  let text = SEEDS[random(SEEDS.length)]!;
  for (let edits = random(4); edits > 0; edits--) {
    const at = random(text.length + 1);
    const piece = PIECES[random(PIECES.length)]!;
    text = text.slice(0, at) + piece + text.slice(at + random(4));
  }
  return Buffer.from(text);
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ConditionContext } from '../condition-context.ts';
import { compileBody } from './compile-body.ts';
import { fuzzBodies } from './testing/fuzz-bodies.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 1000) };
const HEAD = { contentType: 'application/json', contentEncoding: null };
const CONTEXT = new ConditionContext(
  { method: 'POST', query: '', headers: [], clientAddress: '10.0.0.1', receivedAt: 0 },
  null,
  null,
);

type Json = null | number | string | readonly Json[] | { readonly [name: string]: Json };

const value = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, 'x', '', 'long text'),
    fc.integer({ min: -3, max: 9 }),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c', 'constructor', '__proto__'), tie('value'), { maxKeys: 4 }),
  ),
})).value;

const nearlyValid = fc.record(
  { b: fc.integer({ min: -1, max: 6 }), c: fc.oneof(value, fc.uniqueArray(fc.nat(9))), c2: fc.nat(9) },
  { requiredKeys: ['b'] },
);

/** The same value with the members of each object the other way round. */
function reversed(json: Json): Json {
  if (Array.isArray(json)) return json.map(reversed);
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(
    Object.entries(json)
      .reverse()
      .map(([name, member]) => [name, reversed(member)]),
  );
}

describe('any body', () => {
  const compiled = compileBody({
    contentTypes: ['application/json'],
    maxBytes: 65_536,
    schema: {
      type: ['object', 'array'],
      properties: { a: { type: 'string', minLength: 1 }, b: { $ref: '#/$defs/number' } },
      patternProperties: { '^c': { anyOf: [{ type: 'array', uniqueItems: true }, { $ref: '#/$defs/number' }] } },
      additionalProperties: false,
      oneOf: [{ required: ['a'] }, { required: ['b'] }],
      items: { type: ['number', 'object'], required: ['a'] },
      $defs: { number: { type: 'number', minimum: 0 } },
    },
    rules: [{ rule: 'type(body) == list || !has(body.b) || body.b < 5', message: 'b must be below 5' }],
  });
  assert.ok(compiled.ok);
  const validator = compiled.value;
  const answer = (json: Json): unknown => validator.validate(Buffer.from(JSON.stringify(json)), HEAD, CONTEXT);

  it('gets the same answer whatever the order of its members', () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(value, nearlyValid), (json) => {
        const first = answer(json);
        assert.deepEqual(answer(reversed(json)), first);
        if (first === null) accepted++;
      }),
      RUNS,
    );
    assert.ok(accepted > 0 && accepted < RUNS.numRuns);
  });

  it('has an answer, always the same, valid or not, for random bytes too', () => {
    const { accepted, refused } = fuzzBodies(RUNS.numRuns * 5, 1);
    assert.ok(accepted > 0, 'some bodies are good');
    assert.deepEqual(Object.keys(refused).sort(), ['body_invalid', 'unsupported_media_type']);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatPath } from '../../api/problem.ts';
import { type BodySchema, compileSchema } from './compile-schema.ts';

function compiled(schema: unknown): BodySchema {
  const result = compileSchema(schema, [], 64);
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
}

function said(schema: unknown, json: string): readonly string[] {
  return compiled(schema)
    .validate(JSON.parse(json))
    .map(({ pointer, message }) => `${pointer} ${message}`);
}

const object = (properties: object, more: object = {}): object => ({ type: 'object', properties, ...more });
const list = (items: unknown): object => ({ type: 'array', items });
const nested = (levels: number): unknown => (levels === 0 ? {} : { not: nested(levels - 1) });
/** Definitions d0 to d`count`, each applying the next one twice. */
function doubling(count: number, twice: (next: object) => object): object {
  const definitions = Array.from({ length: count }, (_, at) => [`d${at}`, twice({ $ref: `#/$defs/d${at + 1}` })]);
  return { $ref: '#/$defs/d0', $defs: { ...Object.fromEntries(definitions), [`d${count}`]: { type: 'string' } } };
}

const refused: readonly (readonly [name: string, schema: unknown, path: string, message: RegExp])[] = [
  ['a typo', object({}, { requird: ['a'] }), 'requird', /did you mean required/],
  [
    'a typo deep inside',
    object({ a: { anyOf: [{}, { minLenght: 1 }] } }),
    'properties.a.anyOf[1].minLenght',
    /did you mean minLength/,
  ],
  ['a keyword of another draft', { definitions: {} }, 'definitions', /write \$defs/],
  ["ajv's asynchronous schemas", { $async: true }, '["$async"]', /no keyword/],
  ['$data', { type: 'number', minimum: { $data: '/max' } }, 'minimum', /must be number/],
  ['a name of its own', { $id: 'https://example.com/x' }, '["$id"]', /leave it out/],
  ['another draft', { $schema: 'http://json-schema.org/draft-07/schema#' }, '["$schema"]', /2020-12/],
  ['a remote reference', { $ref: 'https://example.com/x' }, '["$ref"]', /write "#\/\$defs\/NAME"/],
  ['a reference into the air', { $ref: '#/$defs/constructor', $defs: {} }, '["$ref"]', /write "#\/\$defs\/NAME"/],
  ['a reference to anywhere', { $ref: '#' }, '["$ref"]', /write "#\/\$defs\/NAME"/],
  ['definitions below the root', object({ a: { $defs: {} } }), 'properties.a["$defs"]', /at the root/],
  ['an unknown type', { type: 'strin' }, 'type', /must be one of .*"string"/],
  ['a wrong shape', object({ a: { type: 'string', maxLength: '3' } }), 'properties.a.maxLength', /must be integer/],
  ['a schema that is none', object({ a: 3 }), 'properties.a', /object, true or false/],
  ['an unknown format', { type: 'string', format: 'data-time' }, 'format', /did you mean date-time/],
  ['a lookahead', object({ a: { type: 'string', pattern: '(?=a)' } }), 'properties.a.pattern', /refused by RE2/],
  ['a huge pattern', { type: 'string', pattern: '(a{50}b{50}){9}' }, 'pattern', /smaller repeat counts/],
  [
    'a pattern for names',
    { type: 'object', patternProperties: { '(?!a)': {} } },
    'patternProperties["(?!a)"]',
    /refused by RE2/,
  ],
  ['properties without type', object({ a: { properties: {} } }), 'properties.a', /missing type "object".*write type/],
  ['then without if', object({}, Object.fromEntries([['then', {}]])), 'then', /says nothing without if/],
  ['minContains alone', { type: 'array', minContains: 2 }, 'minContains', /without contains/],
  [
    'a slip in required',
    object({ price: {} }, { required: ['pirce'], additionalProperties: false }),
    'required[0]',
    /did you mean price/,
  ],
  [
    '__proto__ as a property',
    JSON.parse('{"type":"object","properties":{"__proto__":{}}}'),
    'properties.__proto__',
    /leave it out/,
  ],
  ['too many bytes', { const: 'x'.repeat(65_536) }, '', /at most 65536/],
  ['too many values', { enum: Array.from({ length: 20_000 }, (_, at) => at) }, '', /at most 20000 values/],
  ['too deep', nested(65), '', /at most 64 deep/],
  [
    'a circle',
    { $ref: '#/$defs/a', $defs: { a: { anyOf: [{ $ref: '#/$defs/b' }] }, b: { not: { $ref: '#/$defs/a' } } } },
    '',
    /leads back/,
  ],
  ['references that double in place', doubling(20, (next) => ({ anyOf: [next, next] })), '', /more than 2048 checks/],
  [
    'references that double level by level',
    doubling(20, (next) => ({ type: 'array', items: next, contains: next })),
    '',
    /more than 2048 checks/,
  ],
  [
    'a recursive schema that doubles',
    { $ref: '#/$defs/a', $defs: { a: object({ x: { anyOf: [{ $ref: '#/$defs/a' }, { $ref: '#/$defs/a' }] } }) } },
    '',
    /more than 2048 checks/,
  ],
];

describe('a schema is refused with path and remedy', () => {
  for (const [name, schema, path, message] of refused) {
    it(name, () => {
      const result = compileSchema(schema, [], 64);
      assert.ok(!result.ok);
      assert.match(`${result.problems[0]?.message}`, message);
      assert.equal(formatPath(result.problems[0]!.path), path);
    });
  }
});

const tree = {
  $ref: '#/$defs/node',
  $defs: { node: object({ v: { type: 'number' }, c: list({ $ref: '#/$defs/node' }) }) },
};
const limit = {
  ...object({ type: { enum: ['market', 'limit'] }, price: { type: 'number' } }, { required: ['type'] }),
  if: { properties: { type: { const: 'limit' } } },
  ...Object.fromEntries([['then', { required: ['price'] }]]),
  else: { properties: { price: false } },
};
const two = object({ a: { type: 'string', pattern: '^a+$' }, b: { type: 'string', pattern: '^b+$' } });
const closed = object({ a: { type: 'string' } }, { additionalProperties: false });
const unevaluated = {
  type: 'object',
  anyOf: [
    { properties: { a: { type: 'string' } }, required: ['a'] },
    { properties: { b: {} }, required: ['b'] },
  ],
  unevaluatedProperties: false,
};
const odd = `a"b'\`\${1}\u2028\\*/`;

const cases: readonly (readonly [name: string, schema: unknown, json: string, ...said: readonly string[]])[] = [
  ['if and then', limit, '{"type":"limit","price":1}'],
  ['if without then', limit, '{"type":"limit"}', '/price is required'],
  ['else', limit, '{"type":"market","price":1}', '/price must not be here'],
  ['two patterns', two, '{"a":"aa","b":"bb"}'],
  [
    'each pattern is its own',
    two,
    '{"a":"bb","b":"aa"}',
    '/a must match pattern "^a+$"',
    '/b must match pattern "^b+$"',
  ],
  [
    'a member of every object is missing',
    object({}, { required: ['constructor', 'toString', '__proto__'] }),
    '{}',
    '/constructor is required',
    '/toString is required',
    '/__proto__ is required',
  ],
  ['a member of every object is not checked', object({ constructor: { type: 'string' } }), '{}'],
  [
    'a member named so is checked',
    object({ constructor: { type: 'string' } }),
    '{"constructor":1}',
    '/constructor must be string',
  ],
  ['closed against __proto__', closed, '{"a":"","__proto__":{"a":1}}', '/__proto__ must not be here'],
  [
    'closed against constructor',
    closed,
    '{"constructor":1,"x/~":1}',
    '/constructor must not be here',
    '/x~1~0 must not be here',
  ],
  ['unevaluated', unevaluated, '{"a":""}'],
  ['unevaluated, closed', unevaluated, '{"a":"","z":1}', '/z must not be here'],
  [
    'unevaluated, closed against __proto__',
    unevaluated,
    '{"a":"","__proto__":1}',
    ' holds a member named as one of every object; rename it',
  ],
  [
    'unevaluated, closed against toString',
    unevaluated,
    '{"a":"","toString":1}',
    ' holds a member named as one of every object; rename it',
  ],
  ['a tree', tree, '{"v":1,"c":[{"c":[{"v":2}]}]}'],
  ['deep in a tree', tree, '{"v":1,"c":[{"c":[{"v":"2"}]}]}', '/c/0/c/0/v must be number'],
  [
    'names',
    { type: 'object', propertyNames: { maxLength: 2 } },
    '{"abc":1}',
    '/abc name must NOT have more than 2 characters',
    '/abc has a name that is not allowed',
  ],
  [
    'names by pattern',
    { type: 'object', patternProperties: { '^n_': { type: 'number' } } },
    '{"n_a":"1","b":"1"}',
    '/n_a must be number',
  ],
  [
    'a name that tries to be code',
    object({ [odd]: { type: 'number' } }, { required: [odd] }),
    '{}',
    `/${odd.replace('/', '~1')} is required`,
  ],
  ['a constant that tries to be code', { const: odd }, '1', ` must be ${JSON.stringify(odd)}`],
  ['a long enum', { enum: Array.from({ length: 17 }, (_, at) => at) }, '17', ' must be one of the allowed values'],
  ['decimals', { type: 'number', multipleOf: 0.01 }, '19.99'],
  [
    'unique strings',
    { type: 'array', items: { type: 'string' }, uniqueItems: true },
    '["__proto__","__proto__"]',
    ' must not hold the same item twice',
  ],
  ['a number that is a string', { type: 'integer' }, '"1"', ' must be integer'],
  ['said once', { type: 'object', allOf: [{ required: ['a'] }, { required: ['a'] }] }, '{}', '/a is required'],
  ['anything', true, '1'],
  ['nothing', false, '1', ' must not be here'],
];

describe('a schema says what is wrong with a body', () => {
  for (const [name, schema, json, ...expected] of cases) it(name, () => assert.deepEqual(said(schema, json), expected));

  it('is not touched, and its answers do not depend on earlier ones', () => {
    const schema = structuredClone(tree);
    const { validate } = { validate: (json: string) => validator.validate(JSON.parse(json)).length };
    const validator = compiled(schema);
    assert.deepEqual([validate('{"v":""}'), validate('{"v":1}'), validate('{"v":""}')], [1, 0, 1]);
    assert.deepEqual(schema, tree);
  });
});

describe('a body costs no more than its size allows', () => {
  const timed = (schema: unknown, body: unknown): readonly [string, number] => {
    const validator = compiled(schema);
    const started = performance.now();
    const violations = validator.validate(body);
    return [violations.map(({ message }) => message).join(), performance.now() - started];
  };

  it('equal objects by the ten thousand are told apart in linear time', () => {
    const items = Array.from({ length: 50_000 }, (_, at) => ({ at: at % 49_999 }));
    const [message, elapsed] = timed({ type: 'array', maxItems: 10, uniqueItems: true }, items);
    assert.match(message, /same item twice|more than 10/);
    assert.ok(elapsed < 2000, `${elapsed} ms`);
  });

  it('of very many errors one is listed', () => {
    const names = Array.from({ length: 500 }, (_, at) => `name${at}`);
    const items = Array.from({ length: 50_000 }, () => ({}));
    const [message, elapsed] = timed(list(object({}, { required: names })), items);
    assert.equal(message, 'is required,is too large to list what else is wrong');
    assert.ok(elapsed < 2000, `${elapsed} ms`);
  });

  it('no more text is searched than the pattern allows', () => {
    const schema = { type: 'string', pattern: '^(a|b)*a(a|b){60}$' };
    assert.equal(timed(schema, 'a'.repeat(62))[0], '');
    assert.match(timed(schema, 'ab'.repeat(32_768))[0], /more text than its patterns may search/);
    assert.equal(timed({ type: 'string', pattern: '^[A-Z0-9]+$' }, 'A'.repeat(65_536))[0], '');
  });

  it('a schema of 64 KiB', () => {
    const properties = Object.fromEntries(
      Array.from({ length: 600 }, (_, at) => [
        `property${at}`,
        { type: 'string', minLength: 1, maxLength: 20, pattern: `^[a-z]+${at}$` },
      ]),
    );
    const started = performance.now();
    compiled(object(properties, { required: Object.keys(properties) }));
    assert.ok(performance.now() - started < 10_000);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatPath } from '../../api/problem.ts';
import { ConditionContext } from '../condition-context.ts';
import type { BodyConfig, BodyRefusal } from './body-config.ts';
import { type BodyValidator, compileBody } from './compile-body.ts';

const FACTS = { method: 'POST', query: '', headers: [], clientAddress: '10.0.0.1', receivedAt: Date.UTC(2026, 0, 5) };
const CONTEXT = new ConditionContext(FACTS, { sub: 'u1' }, { params: { id: 'u1' } });
const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';
const CONFIG: BodyConfig = {
  contentTypes: [JSON_TYPE],
  maxBytes: 64,
  schema: { type: 'object', required: ['a'], properties: { a: { type: 'string' }, b: { type: 'number' } } },
  rules: [],
};

function compiled(change: Partial<BodyConfig> = {}): BodyValidator {
  const result = compileBody({ ...CONFIG, ...change });
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
}

function validate(
  validator: BodyValidator,
  body: string | Uint8Array,
  contentType: string | null = JSON_TYPE,
  contentEncoding: string | null = null,
): BodyRefusal | null {
  return validator.validate(Buffer.from(body), { contentType, contentEncoding }, CONTEXT);
}

const problems: readonly (readonly [name: string, change: Partial<BodyConfig>, path: string, message: RegExp])[] = [
  ['no content type', { contentTypes: [] }, 'contentTypes', /such as application\/json/],
  [
    'a content type with a parameter',
    { contentTypes: ['application/json; charset=utf-8'] },
    'contentTypes[0]',
    /without parameters/,
  ],
  ['one in upper case', { contentTypes: [JSON_TYPE, 'Text/Plain'] }, 'contentTypes[1]', /lower case/],
  ['a range of them', { contentTypes: ['application/*'] }, 'contentTypes[0]', /one media type/],
  ['one that nothing can check', { contentTypes: [JSON_TYPE, 'image/png'] }, 'contentTypes[1]', /rule of its own/],
  [
    'rules about one that nothing can check',
    { contentTypes: ['image/png'], schema: null, rules: [{ rule: 'body.a == 1', message: '' }] },
    'contentTypes[0]',
    /rule of its own/,
  ],
  ['no size', { maxBytes: 0 }, 'maxBytes', /from 1 to/],
  ['half a byte', { maxBytes: 1.5 }, 'maxBytes', /from 1 to/],
  ['two mebibytes to parse', { maxBytes: 2 ** 21 }, 'maxBytes', /to 1048576 bytes \(1Mi\)/],
  ['a gibibyte', { contentTypes: ['image/png'], schema: null, maxBytes: 2 ** 30 }, 'maxBytes', /16Mi/],
  [
    'a bad schema',
    { schema: { type: 'object', properties: { a: { typ: 1 } } } },
    'schema.properties.a.typ',
    /did you mean type/,
  ],
  [
    'a rule that is no CEL',
    { rules: [{ rule: 'body.a ==', message: '' }] },
    'rules[0].rule',
    /at character \d+ of the expression/,
  ],
  [
    'a rule about something unknown',
    { rules: [{ rule: 'boby.a == 1', message: '' }] },
    'rules[0].rule',
    /there are body, claims/,
  ],
  [
    'seventeen rules',
    { rules: Array.from({ length: 17 }, () => ({ rule: 'true', message: '' })) },
    'rules',
    /at most 16/,
  ],
];

describe('a body configuration is refused with path and remedy', () => {
  for (const [name, change, path, message] of problems) {
    it(name, () => {
      const result = compileBody({ ...CONFIG, ...change });
      assert.ok(!result.ok);
      assert.match(result.problems.map((problem) => problem.message).join(), message);
      assert.equal(formatPath(result.problems[0]!.path), path);
    });
  }

  it('names everything at once', () => {
    const result = compileBody({
      contentTypes: [],
      maxBytes: 0,
      schema: { typ: 1 },
      rules: [{ rule: '', message: '' }],
    });
    assert.ok(!result.ok);
    assert.deepEqual(
      result.problems.map(({ path }) => path[0]),
      ['maxBytes', 'contentTypes', 'schema', 'rules'],
    );
  });
});

const either = { contentTypes: [JSON_TYPE, 'application/merge-patch+json', FORM] };
const opaque = { contentTypes: ['image/png', 'multipart/form-data', JSON_TYPE], schema: null };
const good = '{"a":"x"}';

const heads: readonly (readonly [
  name: string,
  config: Partial<BodyConfig>,
  body: string,
  contentType: string | null,
  encoding: string | null,
  answer: string | null,
])[] = [
  ['JSON', {}, good, JSON_TYPE, null, null],
  ['JSON in any case', {}, good, 'Application/JSON; Charset="UTF-8"', 'Identity', null],
  ['a listed +json', either, good, 'application/merge-patch+json', null, null],
  ['a form', either, 'a=x', `${FORM};charset=utf-8`, null, null],
  ['no Content-Type', {}, good, null, null, 'unsupported_media_type: Content-Type must be application/json'],
  ['an empty Content-Type', {}, good, '', null, 'unsupported_media_type: Content-Type must be application/json'],
  [
    'another type',
    either,
    good,
    'text/plain',
    null,
    `unsupported_media_type: Content-Type must be application/json or application/merge-patch+json or ${FORM}`,
  ],
  [
    '+json that is not listed',
    {},
    good,
    'application/merge-patch+json',
    null,
    'unsupported_media_type: Content-Type must be application/json',
  ],
  ['a form that is not listed', {}, 'a=x', FORM, null, 'unsupported_media_type: Content-Type must be application/json'],
  [
    'two types',
    {},
    good,
    'application/json, text/plain',
    null,
    'unsupported_media_type: Content-Type must be application/json',
  ],
  [
    'another charset',
    {},
    good,
    'application/json; charset=utf-16',
    null,
    'unsupported_media_type: Content-Type may have charset=utf-8 and no other parameter',
  ],
  [
    'two charsets',
    {},
    good,
    'application/json;charset=utf-8;charset=utf-8',
    null,
    'unsupported_media_type: Content-Type may have charset=utf-8 and no other parameter',
  ],
  [
    'another parameter',
    {},
    good,
    'application/json; version=1',
    null,
    'unsupported_media_type: Content-Type may have charset=utf-8 and no other parameter',
  ],
  [
    'a compressed body',
    {},
    good,
    JSON_TYPE,
    'gzip',
    'unsupported_media_type: Content-Encoding must be identity, or left out',
  ],
  [
    'twice the same encoding',
    {},
    good,
    JSON_TYPE,
    'identity, identity',
    'unsupported_media_type: Content-Encoding must be identity, or left out',
  ],
  [
    'a compressed picture',
    opaque,
    'PNG',
    'image/png',
    'br',
    'unsupported_media_type: Content-Encoding must be identity, or left out',
  ],
  ['a body of the largest size', {}, `{"a":"${'x'.repeat(56)}"}`, JSON_TYPE, null, null],
  [
    'a body one byte larger',
    {},
    `{"a":"${'x'.repeat(57)}"}`,
    JSON_TYPE,
    null,
    'body_too_large: is larger than 64 bytes',
  ],
  ['a large picture', opaque, 'x'.repeat(65), 'image/png', null, 'body_too_large: is larger than 64 bytes'],
  ['no body', {}, '', JSON_TYPE, null, 'body_invalid: a body is required'],
  ['no body, no head', {}, '', null, null, 'body_invalid: a body is required'],
  [
    'no body where only a rule asks for one',
    { schema: null, rules: [{ rule: 'true', message: '' }] },
    '',
    null,
    null,
    'body_invalid: a body is required',
  ],
  ['no body where none is asked for', { schema: null }, '', null, null, null],
  ['JSON where nothing is asked of it', { schema: null }, '[1]', JSON_TYPE, null, null],
  [
    'strict JSON where nothing is asked of it',
    { schema: null },
    '{"a":1,"a":1}',
    JSON_TYPE,
    null,
    'body_invalid: /a occurs more than once; write it once',
  ],
  ['a picture', opaque, '\x89PNG', 'image/png', null, null],
  ['parts with their boundary', opaque, '--x', 'multipart/form-data; boundary=x', null, null],
  ['JSON that is a picture', opaque, '{', JSON_TYPE, null, 'body_invalid: is not valid JSON (RFC 8259)'],
  ['a form that the schema refuses', either, 'b=1', FORM, null, 'body_invalid: /a is required; /b must be number'],
];

describe('a body and its head', () => {
  for (const [name, config, body, contentType, encoding, answer] of heads) {
    it(name, () => {
      const refusal = validate(compiled(config), body, contentType, encoding);
      const said = refusal?.violations.map(({ pointer, message }) => `${pointer} ${message}`.trim()).join('; ');
      assert.equal(refusal === null ? null : `${refusal.code}: ${said}`, answer);
    });
  }

  it('bytes that are no UTF-8', () => {
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80]]) {
      const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes), Buffer.from('"}')]);
      assert.equal(validate(compiled(), body)?.violations[0]?.message, 'is not valid UTF-8');
    }
    assert.equal(validate(compiled(), '{"a":"é😀"}'), null);
    assert.match(`${validate(compiled(), `\ufeff${good}`)?.violations[0]?.message}`, /not valid JSON/);
  });
});

describe('rules', () => {
  const rules = [
    { rule: 'body.b > 1', message: 'b must be above 1' },
    { rule: 'body.a == claims.sub && body.a == path.id', message: 'a must be you' },
    { rule: 'timestamp(body.a) <= now', message: 'a must be past' },
  ];
  const said = (body: unknown): readonly string[] | undefined =>
    validate(compiled({ rules }), JSON.stringify(body))?.violations.map(({ message }) => message);

  it('say each what is violated, in their order; an error counts as violated', () => {
    assert.deepEqual(said({ a: 'u1', b: 2 }), ['a must be past (the rule has no answer for this body)']);
    assert.deepEqual(said({ a: '2027-01-01T00:00:00Z', b: 1 }), [
      'b must be above 1',
      'a must be you',
      'a must be past',
    ]);
    assert.deepEqual(said({ a: 'u1' })?.[0], 'b must be above 1 (the rule has no answer for this body)');
  });

  it('are not asked about a body with a constructor of its own', () => {
    const validator = compiled({ rules: [{ rule: 'size(body) > 1', message: 'no' }], schema: null });
    const answers = ['{"b":1,"c":[{"constructor":1}]}', '{"c":[{"constructor":1}],"b":1}'].map((body) =>
      validate(validator, body),
    );
    assert.match(`${answers[0]?.violations[0]?.message}`, /named constructor/);
    assert.deepEqual(answers[0], answers[1]);
    assert.equal(validate(compiled({ schema: null }), '{"constructor":1}'), null);
  });

  it('are not asked about a body that the schema refuses', () => assert.deepEqual(said({ a: 1 }), ['must be string']));
});

describe('what is said of a body', () => {
  const many = compiled({
    maxBytes: 65_536,
    schema: { type: 'array', items: { type: 'object', additionalProperties: false } },
  });

  it('is in order, 32 at most, and how many more', () => {
    const member = (at: number): string => `"k${String(at).padStart(3, '0')}":1`;
    const names = Array.from({ length: 40 }, (_, at) => member(at));
    const violations = validate(many, `[{${names.toReversed().join()}}]`)?.violations ?? [];
    assert.equal(violations.length, 33);
    assert.deepEqual(violations[0], { pointer: '/0/k000', message: 'must not be here' });
    assert.deepEqual(violations[31], { pointer: '/0/k031', message: 'must not be here' });
    assert.deepEqual(violations[32], { pointer: '', message: 'and 8 more' });
    assert.deepEqual(validate(many, `[{${names.join()}}]`)?.violations, violations);
  });

  it('holds no value of it, and no endless name', () => {
    const validator = compiled({
      maxBytes: 65_536,
      schema: {
        type: 'object',
        additionalProperties: false,
        properties: {
          s: { type: 'string', pattern: '^x$', maxLength: 3, format: 'email', enum: ['x'] },
          n: { type: 'number', maximum: 1, multipleOf: 2 },
          c: { const: 1 },
          u: { type: 'array', uniqueItems: true, contains: { const: 1 } },
          o: { type: 'object', maxProperties: 0, not: { required: ['s3cret'] } },
        },
      },
      rules: [{ rule: 'body.s == "x"', message: 'no' }],
    });
    const secret = 's3cret';
    const bodies = [
      { s: secret, n: 31_337, c: secret, u: [secret, secret], o: { x: secret } },
      { n: secret, u: secret, o: secret },
      secret,
    ].map((body) => JSON.stringify(body));
    for (const body of [
      ...bodies,
      `{"s":"${secret}`,
      `{"s":"${secret}","s":"${secret}"}`,
      `{"s":"${secret}","n":1e999}`,
    ]) {
      const refusal = validate(validator, body);
      assert.ok(refusal !== null && refusal.violations.length > 0);
      assert.doesNotMatch(JSON.stringify(refusal), /s3cret|31337/, body);
    }
    const [violation] = validate(validator, `{"${'😀'.repeat(500)}":1}`)?.violations ?? [];
    assert.equal(violation?.pointer.length, 257);
    assert.ok(violation.pointer.isWellFormed());
  });
});

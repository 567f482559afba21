import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import type { AccessPolicy } from '../../policy/api/access-policy.ts';
import { type GenerateOptions, generatePolicy } from './generate-policy.ts';
import { documentOf, generate, OPTIONS, policyOf, said } from './testing/generate.ts';

const bearer = [{ bearer: [] }];

describe('bodies', () => {
  const schema = { type: 'object', properties: { symbol: { type: 'string' } } };
  const json = { 'application/json': { schema } };
  const cases: readonly { name: string; requestBody: unknown; body: unknown; says?: RegExp }[] = [
    {
      name: 'JSON',
      requestBody: { required: true, content: json },
      body: { contentTypes: ['application/json'], maxBytes: '64Ki', schema },
    },
    {
      name: 'JSON, optional, behind a reference',
      requestBody: { $ref: '#/components/requestBodies/B' },
      body: { contentTypes: ['application/json'], maxBytes: '64Ki', schema },
      says: /#\/components\/requestBodies\/B: note: an optional body is demanded/,
    },
    {
      name: 'what is not checked',
      requestBody: { required: true, content: { ...json, 'Text/CSV; header=present': {} } },
      body: { contentTypes: ['application/json', 'text/csv'], maxBytes: '1Mi' },
      says: /a schema is checked of JSON alone/,
    },
    { name: 'any media type', requestBody: { content: { '*/*': {} } }, body: undefined, says: /is not one media type/ },
    {
      name: 'a schema that costs too much',
      requestBody: {
        required: true,
        content: { 'application/json': { schema: { type: 'string', enum: Array.from({ length: 3000 }, String) } } },
      },
      body: { contentTypes: ['application/json'], maxBytes: '64Ki' },
      says: /its schema is not checked, only type and size: .*2048 checks/,
    },
  ];
  const components = { requestBodies: { B: { content: json } } };
  for (const { name, requestBody, body, says } of cases) {
    it(name, () => {
      const members = { components, paths: { '/a': { post: { security: [], requestBody } } } };
      const generated = generate(members, { bodies: true });
      assert.deepEqual((policyOf(generated).spec.rules[0] as { body?: unknown }).body, body);
      if (says !== undefined) assert.match(said(generated), says);
      assert.equal('body' in (policyOf(generate(members)).spec.rules[0] ?? {}), false);
    });
  }
});

describe('refused documents', () => {
  const paths = { '/a': { get: { security: [] } } };
  const thrown: readonly (readonly [name: string, text: string, says: RegExp])[] = [
    ['Swagger 2.0', 'swagger: "2.0"', /is of Swagger 2\.0; convert it/],
    ['another version', 'openapi: 3.2.0', /must be of OpenAPI 3\.0 or 3\.1.*"3\.2\.0"/],
    ['no version', 'paths: {}', /there is no `openapi`/],
    ['a list', '[]', /its root must be an object/],
    ['no YAML', 'a: [', /is neither JSON nor YAML: /],
    ['aliases without end', bomb(), /is neither JSON nor YAML: Excessive alias count/],
  ];
  for (const [name, text, says] of thrown)
    it(name, () => assert.throws(() => generatePolicy(text, OPTIONS), { code: 'config_invalid', message: says }));

  const reported: readonly (readonly [
    name: string,
    members: object,
    says: RegExp,
    options?: Partial<GenerateOptions>,
  ])[] = [
    ['no operation', { paths: {} }, /f#\/paths: error: there is no operation/],
    ['no key set', { security: bearer, paths: { '/a': { get: {} } } }, /say with --key-set NAME/, { keySet: null }],
    [
      'an unknown scheme',
      { security: [{ nope: [] }], paths: { '/a': { get: {} } } },
      /security\/0\/nope: error: there is no security scheme "nope"/,
    ],
    [
      'a path item of another file',
      { paths: { '/a': { $ref: 'a.yaml' } } },
      /~1a\/\$ref: error: "a\.yaml": only references within/,
    ],
    [
      'references in a circle',
      { paths: { '/a': { $ref: '#/paths/~1b' }, '/b': { $ref: '#/paths/~1a' } } },
      /~1a, f#\/paths\/~1b: error: this \$ref leads back/,
    ],
    [
      'a policy without a name of Kubernetes',
      { paths },
      /error: the policy's metadata.name: write the name/,
      { name: 'My API' },
    ],
    [
      'too many ways in',
      { paths: { '/a': { get: { security: Array.from({ length: 9 }, (_, at) => ({ oauth: [`s${at}`] })) } } } },
      /more than 8 ways in/,
    ],
  ];
  for (const [name, members, says, options] of reported) {
    it(name, () => {
      const generated = generate(members, options);
      assert.equal(generated.yaml, null);
      assert.match(said(generated), says);
    });
  }

  it('tells everything at once', () => {
    const generated = generate({ security: [{ nope: [] }], paths: { '/a': { get: {}, put: 7 }, '/b': { $ref: 'x' } } });
    assert.equal(generated.remarks.filter(({ severity }) => severity === 'error').length, 3);
  });
});

describe('texts of the document', () => {
  it('stay in their comments', () => {
    for (const end of ['\n', '\r', '\u0085', '\u2028', '\u2029', '\0']) {
      const evil = `x${end}    - name: evil${end}      allow: [{ anonymous: true }]${end}`;
      const get = { operationId: evil, summary: evil, tags: [evil] };
      const paths = { '/a': { get }, [`/b{c}${end}evil: 1`]: { get } };
      const generated = generate({ info: { title: evil, version: evil }, security: bearer, paths });
      assert.doesNotMatch(generated.yaml ?? '', /[\r\u0085\u2028\u2029]/);
      const { metadata, spec } = policyOf(generated);
      assert.equal(spec.rules.length, 1);
      assert.deepEqual(Object.keys(spec), ['mode', 'authentication', 'roles', 'rules']);
      assert.match(metadata.name, /^x---name-evil/);
      const [first, ...more] = said(generated).split(/[\n\r\0\u0085\u2028\u2029]/);
      assert.ok(
        [first, ...more].every((line) => line?.startsWith('f')),
        said(generated),
      );
    }
  });

  it('stay in their schemas', () => {
    const evil = 'x\u2028    - name: evil\u0085\u2029\ufeff';
    const schema = { type: 'object', properties: { [evil]: { type: 'string', enum: [evil] } } };
    const requestBody = { required: true, content: { 'application/json': { schema } } };
    const paths = { [`/a/${evil}`]: { post: { security: [], requestBody } } };
    const generated = generate({ paths }, { bodies: true });
    assert.doesNotMatch(generated.yaml ?? '', /[\u0085\u2028\u2029\ufeff]/);
    assert.deepEqual(policyOf(generated).spec.rules[0]?.body?.schema, schema);
  });

  it('are read as texts by YAML 1.1 too', () => {
    const paths = { '/a': { get: { operationId: 'on', security: [{ oauth: ['no', '1e3', 'y'] }] } } };
    const { yaml } = generate({ paths });
    assert.deepEqual((parse(yaml ?? '', { version: '1.1' }) as AccessPolicy).spec.rules[0], {
      name: 'on',
      match: { paths: ['/a'], methods: ['GET'] },
      allow: [{ permissions: ['1e3', 'no', 'y'] }],
    });
  });

  it('may be YAML as well as JSON', () => {
    const text = documentOf({ paths: { '/a': { get: { security: [] } } } });
    assert.equal(generatePolicy(stringify(JSON.parse(text)), OPTIONS).yaml, generatePolicy(text, OPTIONS).yaml);
  });

  it('named as members of every object are nothing special', () => {
    const paths = '{"/a": {"get": {"security": [{"constructor": []}]}}, "/__proto__": {"get": {"security": []}}}';
    const generated = generatePolicy(`{"openapi": "3.1.0", "paths": ${paths}}`, OPTIONS);
    assert.match(said(generated), /there is no security scheme "constructor"/);
  });
});

function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, at) => `x${at + 1}: &a${at + 1} [${`*a${at},`.repeat(9)}]`);
  return `openapi: 3.1.0\nx0: &a0 [1]\n${levels.join('\n')}`;
}

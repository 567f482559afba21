import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { decodeResource } from '../api/decode.ts';
import { compileAccessPolicy } from './compile-access-policy.ts';
import type { References } from './references.ts';

const NOTHING: References = {
  keySets: [],
  secrets: [],
  namespaces: [],
  defaultStore: null,
  defaultClientIp: null,
  storeOverride: null,
};

function compiled(rule: object, references = NOTHING) {
  const decoded = decodeResource({
    apiVersion: 'portcullis.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name: 'orders' },
    spec: { rules: [rule] },
  });
  if (!('resource' in decoded) || decoded.resource.kind !== 'AccessPolicy') throw new Error(JSON.stringify(decoded));
  return compileAccessPolicy(decoded.resource, references);
}

const post = (body: object) => ({
  name: 'candle',
  match: { paths: ['/candles'] },
  allow: [{ anonymous: true }],
  body,
});

test('a body comes into the bundle with its defaults, its size in bytes', () => {
  const { content, findings } = compiled(post({ schema: { type: 'object' } }));
  assert.deepEqual(findings, []);
  assert.deepEqual(content?.rules[0]?.body, {
    contentTypes: ['application/json'],
    maxBytes: 65_536,
    schema: { type: 'object' },
    rules: [],
  });
});

const broken: readonly [name: string, body: object, at: string, message: RegExp][] = [
  ['a schema that does not compile', { schema: { type: 'objekt' } }, 'body.schema.type', /object/],
  ['a pattern that RE2 refuses', { schema: { type: 'string', pattern: '(?=a)' } }, 'body.schema.pattern', /RE2/],
  ['CEL that does not check', { rules: [{ rule: 'body.x +', message: 'm' }] }, 'body.rules.0.rule', /character/],
  ['more than is read at once', { maxBytes: '2Mi' }, 'body.maxBytes', /1Mi/],
  [
    'a schema of what is not parsed',
    { contentTypes: ['image/png'], schema: {} },
    'body.contentTypes.0',
    /can be checked/,
  ],
];

for (const [name, body, at, message] of broken) {
  test(`${name} is refused at its place`, () => {
    const { content, findings } = compiled(post(body));
    assert.equal(content, null);
    assert.equal(findings[0]?.path.join('.'), `spec.rules.0.${at}`);
    assert.match(findings[0]?.message ?? '', message);
  });
}

const REF = { schemaRef: { configMap: { name: 'schemas', key: 'order.json' } } };
const schemas = (data: Record<string, string>, more: object = {}): References => ({
  ...NOTHING,
  configMaps: [
    {
      ...{ namespace: 'default', name: 'schemas', labels: { 'portcullis.dev/allow-reference': 'true' }, data },
      ...more,
    },
  ],
});

test('a schema of a ConfigMap stands in the bundle as if it were written in the rule', () => {
  const { content, findings } = compiled(post(REF), schemas({ 'order.json': '{"type":"object"}' }));
  assert.deepEqual(findings, []);
  assert.deepEqual(content?.rules[0]?.body?.schema, { type: 'object' });
});

const unusable: readonly [name: string, references: References, at: string, code: string, message: RegExp][] = [
  [
    'no ConfigMap',
    NOTHING,
    '.configMap.name',
    'RefNotFound',
    /^ConfigMap default\/schemas does not exist, or lacks the label/,
  ],
  ["another namespace's", schemas({}, { namespace: 'other' }), '.configMap.name', 'RefNotFound', /does not exist/],
  ['no label', schemas({}, { labels: {} }), '.configMap.name', 'RefNotPermitted', /give it the label portcullis\.dev/],
  ['no such key', schemas({ a: '', b: '' }), '.configMap.key', 'RefNotFound', /no key "order\.json"; it has a, b$/],
  ['nothing in it', schemas({}), '.configMap.key', 'RefNotFound', /it is empty, or holds more than 256 KiB$/],
  ['no JSON', schemas({ 'order.json': 'type: object' }), '.configMap.key', 'Invalid', /an object written as JSON$/],
  ['a list', schemas({ 'order.json': '[]' }), '.configMap.key', 'Invalid', /an object written as JSON$/],
  ['a schema that does not compile', schemas({ 'order.json': '{"type":"objekt"}' }), '', 'Invalid', /^type: .*object/],
  [
    'a pattern that RE2 refuses',
    schemas({ 'order.json': '{"type":"string","pattern":"(?=a)"}' }),
    '',
    'Invalid',
    /RE2/,
  ],
];
for (const [name, references, at, code, message] of unusable) {
  test(`a schema that is referred to is refused: ${name}`, () => {
    const { content, findings } = compiled(post(REF), references);
    assert.equal(content, null);
    assert.deepEqual(
      findings.map((finding) => [finding.path.join('.'), finding.code]),
      [[`spec.rules.0.body.schemaRef${at}`, code]],
    );
    assert.match(findings[0]?.message ?? '', message);
  });
}

test('the ready bodies of examples/bodies compile as rules of a policy', () => {
  const folder = join(import.meta.dirname, '../../examples/bodies');
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));
  assert.ok(files.length >= 5);
  for (const file of files) {
    const rule = parse(readFileSync(join(folder, file), 'utf8'));
    const { findings } = compiled({ ...rule, allow: [{ anonymous: true }] });
    assert.deepEqual(findings, [], file);
  }
});

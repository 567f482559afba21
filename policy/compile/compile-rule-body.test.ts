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

function compiled(rule: object) {
  const decoded = decodeResource({
    apiVersion: 'portcullis.dev/v1alpha1',
    kind: 'AccessPolicy',
    metadata: { name: 'orders' },
    spec: { rules: [rule] },
  });
  if (!('resource' in decoded) || decoded.resource.kind !== 'AccessPolicy') throw new Error(JSON.stringify(decoded));
  return compileAccessPolicy(decoded.resource, NOTHING);
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

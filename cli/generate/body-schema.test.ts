import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileSchema } from '../../policy/evaluate/body/compile-schema.ts';
import { BodySchemaWriter } from './body-schema.ts';
import { type JsonObject, OpenApiDocument } from './openapi-document.ts';
import { Report } from './report.ts';

interface Case {
  readonly name: string;
  readonly version?: '3.0.3' | '3.1.0';
  readonly schema: unknown;
  readonly schemas?: JsonObject;
  readonly becomes: unknown;
  readonly says?: RegExp;
}

const closed = { type: 'object', additionalProperties: false };

const cases: readonly Case[] = [
  { name: 'nullable', schema: { type: 'string', nullable: true }, becomes: { type: ['string', 'null'] } },
  {
    name: 'nullable enum',
    schema: { type: 'string', nullable: true, enum: ['a'] },
    becomes: { type: ['string', 'null'], enum: ['a', null] },
  },
  {
    name: 'nullable allOf',
    schema: { nullable: true, allOf: [{ $ref: '#/components/schemas/A' }] },
    schemas: { A: { type: 'string' } },
    becomes: { anyOf: [{ type: 'null' }, { allOf: [{ $ref: '#/$defs/A' }] }], $defs: { A: { type: 'string' } } },
  },
  {
    name: 'exclusive bounds as booleans',
    schema: { type: 'number', minimum: 0, exclusiveMinimum: true, maximum: 9, exclusiveMaximum: false },
    becomes: { type: 'number', minimum: 0, exclusiveMinimum: 0, maximum: 9 },
  },
  {
    name: 'exclusive bounds as numbers',
    version: '3.1.0',
    schema: { type: 'number', exclusiveMinimum: 0 },
    becomes: { type: 'number', exclusiveMinimum: 0 },
  },
  {
    name: 'what says nothing of values',
    schema: {
      type: 'integer',
      format: 'int64',
      title: 'x',
      description: 'x',
      example: 1,
      default: 1,
      deprecated: true,
      xml: {},
      'x-order': 1,
    },
    becomes: { type: 'integer' },
  },
  {
    name: 'discriminator',
    schema: {
      oneOf: [{ $ref: '#/components/schemas/A' }],
      discriminator: { propertyName: 'kind', mapping: { a: '#/components/schemas/A' } },
    },
    schemas: { A: { type: 'object' } },
    becomes: { oneOf: [{ $ref: '#/$defs/A' }], $defs: { A: { type: 'object' } } },
  },
  {
    name: 'readOnly is not required, itself or behind a reference',
    schema: {
      ...closed,
      required: ['id', 'at', 'name'],
      properties: {
        id: { type: 'string', readOnly: true },
        at: { $ref: '#/components/schemas/At' },
        name: { type: 'string' },
      },
    },
    schemas: { At: { type: 'string', readOnly: true } },
    becomes: {
      ...closed,
      required: ['name'],
      properties: { id: { type: 'string' }, at: { $ref: '#/$defs/At' }, name: { type: 'string' } },
      $defs: { At: { type: 'string' } },
    },
  },
  {
    name: 'a schema that refers to itself',
    schema: { $ref: '#/components/schemas/Tree' },
    schemas: { Tree: { type: 'array', items: { $ref: '#/components/schemas/Tree' } } },
    becomes: { $ref: '#/$defs/Tree', $defs: { Tree: { type: 'array', items: { $ref: '#/$defs/Tree' } } } },
  },
  {
    name: 'names that are no names of $defs, and two of one name',
    schema: {
      allOf: [{ $ref: '#/components/schemas/a~1b%20c' }, { $ref: '#/components/schemas/o/properties/a~1b%20c' }],
    },
    schemas: { 'a/b c': { type: 'string' }, o: { properties: { 'a/b c': { type: 'string', minLength: 1 } } } },
    becomes: {
      allOf: [{ $ref: '#/$defs/a-1b-c' }, { $ref: '#/$defs/a-1b-c-2' }],
      $defs: { 'a-1b-c': { type: 'string' }, 'a-1b-c-2': { type: 'string', minLength: 1 } },
    },
  },
  {
    name: 'beside $ref nothing counts in 3.0',
    schema: { $ref: '#/components/schemas/A', minLength: 2 },
    schemas: { A: { type: 'string' } },
    becomes: { $ref: '#/$defs/A', $defs: { A: { type: 'string' } } },
  },
  {
    name: 'beside $ref all counts in 3.1',
    version: '3.1.0',
    schema: { $ref: '#/components/schemas/A', minLength: 2 },
    schemas: { A: { type: 'string' } },
    becomes: { $ref: '#/$defs/A', type: 'string', minLength: 2, $defs: { A: { type: 'string' } } },
    says: /\/schema: .*says no type; string was taken/,
  },
  {
    name: 'keywords without a type',
    schema: { properties: { a: { minimum: 1 } } },
    becomes: { type: 'object', properties: { a: { type: 'number', minimum: 1 } } },
    says: /\/schema\/properties\/a: .*number was taken/,
  },
  {
    name: 'a type that only the alternatives say',
    version: '3.1.0',
    schema: { minimum: 0, anyOf: [{ type: 'integer' }, { type: 'null' }] },
    becomes: { type: ['number', 'null'], minimum: 0, anyOf: [{ type: 'integer' }, { type: 'null' }] },
    says: /number or null was taken/,
  },
  {
    name: 'a type that the schema around says',
    schema: { type: 'object', anyOf: [{ required: ['a'] }, { type: 'object', nullable: true, required: ['b'] }] },
    becomes: { type: 'object', anyOf: [{ required: ['a'] }, { type: 'object', required: ['b'] }] },
  },
  {
    name: 'null in every part',
    schema: { type: 'object', nullable: true, allOf: [{ type: 'object', nullable: true }] },
    becomes: { type: ['object', 'null'], allOf: [{ type: ['object', 'null'] }] },
  },
  {
    name: 'a keyword for another type',
    schema: { type: 'integer', maxLength: 4 },
    becomes: { type: 'integer' },
    says: /\/schema\/maxLength: maxLength is for type string and says nothing here/,
  },
  {
    name: 'unknown keywords, formats and patterns that RE2 does not take',
    schema: { type: 'string', format: 'isin', pattern: '(?=x)', $dynamicRef: '#x' },
    becomes: { type: 'string' },
    says: /format "isin" is not checked.*\n.*RE2 does not take this pattern.*\n.*\$dynamicRef is not checked/,
  },
  {
    name: 'a reference to another file',
    schema: { type: 'object', properties: { a: { $ref: 'other.yaml#/A' } } },
    becomes: { type: 'object', properties: { a: {} } },
    says: /a\/\$ref: "other.yaml#\/A": only references within the file .*redocly bundle/,
  },
  {
    name: 'a reference to nothing',
    schema: { $ref: '#/components/schemas/Nope' },
    becomes: {},
    says: /"#\/components\/schemas\/Nope" names nothing/,
  },
  { name: 'no schema at all', schema: 7, becomes: {}, says: /is no schema/ },
  { name: 'nothing', schema: false, becomes: { not: {} } },
];

describe('BodySchemaWriter', () => {
  for (const { name, version = '3.0.3', schema, schemas = {}, becomes, says } of cases) {
    it(name, () => {
      const report = new Report();
      const document = new OpenApiDocument({ openapi: version, schema, components: { schemas } }, report);
      const written = new BodySchemaWriter(document, report).write([{ value: schema, pointer: '/schema' }]);
      assert.deepEqual(written, becomes);
      const said = report.all.map(({ pointer, message }) => `${pointer}: ${message}`).join('\n');
      if (says === undefined) assert.equal(said, '');
      else assert.match(said, says);
      const compiled = compileSchema(written, [], 64);
      assert.deepEqual(compiled.ok || compiled.problems, true);
    });
  }

  it('takes any of several schemas', () => {
    const report = new Report();
    const writer = new BodySchemaWriter(new OpenApiDocument({ openapi: '3.1.0' }, report), report);
    const of = (type: string) => ({ value: { type }, pointer: `/${type}` });
    assert.deepEqual(writer.write([of('string'), of('string')]), { type: 'string' });
    assert.deepEqual(writer.write([of('string'), of('array')]), { anyOf: [{ type: 'string' }, { type: 'array' }] });
  });
});

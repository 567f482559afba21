import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import type { AccessPolicy } from '../../policy/api/access-policy.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import { compileAccessPolicy } from '../../policy/compile/compile-access-policy.ts';
import { NO_REFERENCES } from '../../policy/compile/references.ts';
import { generatePolicy } from './generate-policy.ts';
import { PERMISSION_SOURCES } from './operation-access.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.constantFrom('on', '~', '1:30', '- x', '__proto__', 'constructor', 'orders:read', '*'),
);
const segment = fc.oneof(text, fc.constantFrom('orders', '{id}', '{user-id}', 'a{b}', '..', '%2f', '**', '?x=1'));
const security = fc.array(fc.dictionary(fc.constantFrom('oauth', 'session'), fc.array(text, { maxLength: 3 })), {
  maxLength: 3,
});

const schema = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.record(
      {
        type: fc.constantFrom('string', 'integer', 'number', 'object', 'array', ['string', 'null']),
        nullable: fc.boolean(),
        format: text,
        pattern: text,
        minimum: fc.integer(),
        exclusiveMinimum: fc.oneof(fc.boolean(), fc.integer()),
        maxLength: fc.nat(),
        enum: fc.array(fc.jsonValue({ maxDepth: 1 }), { maxLength: 3 }),
        required: fc.array(text, { maxLength: 2 }),
        example: fc.jsonValue({ maxDepth: 1 }),
      },
      { requiredKeys: [] },
    ),
    fc.record({ $ref: fc.constantFrom('#/components/schemas/A', '#/components/schemas/B') }),
    fc.record({ properties: fc.dictionary(text, tie('any'), { maxKeys: 3 }), additionalProperties: fc.boolean() }),
    fc.record({ anyOf: fc.array(tie('any'), { minLength: 1, maxLength: 3 }), maxLength: fc.nat() }),
    fc.record({ items: tie('any') }),
  ),
})).any;

const operation = fc.record(
  {
    operationId: text,
    summary: text,
    tags: fc.array(text, { maxLength: 2 }),
    security,
    requestBody: fc.record({
      required: fc.boolean(),
      content: fc.dictionary(fc.constantFrom('application/json', 'text/csv', 'x'), fc.record({ schema }), {
        maxKeys: 2,
      }),
    }),
  },
  { requiredKeys: [] },
);
const pathItem = fc.dictionary(fc.constantFrom('get', 'head', 'post', 'put', 'delete', 'trace', 'x-y'), operation, {
  maxKeys: 3,
});
const paths = fc.dictionary(
  fc.array(segment, { maxLength: 3 }).map((segments) => `/${segments.join('/')}`),
  pathItem,
  { maxKeys: 30 },
);

const document = fc.record({
  openapi: fc.constantFrom('3.0.3', '3.1.0'),
  info: fc.record({ title: text, version: text }),
  servers: fc.constantFrom([], [{ url: 'https://h/api' }]),
  paths,
  components: fc.record({
    schemas: fc.record({ A: schema, B: schema }),
    securitySchemes: fc.constant({ oauth: { type: 'oauth2' }, session: { type: 'apiKey', in: 'cookie', name: 's' } }),
  }),
});

test('what is printed decodes and compiles, has each operation once, and lets in nobody whom the document does not', () => {
  let printed = 0;
  fc.assert(
    fc.property(document, fc.constantFrom(...PERMISSION_SOURCES), fc.boolean(), (openapi, permissions, bodies) => {
      const { yaml, remarks, counts } = generatePolicy(JSON.stringify(openapi), {
        name: 'api',
        namespace: null,
        keySet: { name: 'trading' },
        permissions,
        basePath: null,
        bodies,
      });
      const errors = remarks.filter(({ severity }) => severity === 'error');
      assert.equal(yaml === null, errors.length > 0);
      // What is refused, is refused for what stands in the document, never for what we made of it.
      for (const { message } of errors) assert.doesNotMatch(message, /^the policy's/);
      if (yaml === null) return;
      printed++;
      const decoded = decodeResource(parse(yaml));
      assert('resource' in decoded);
      const policy = decoded.resource as AccessPolicy;
      const { findings } = compileAccessPolicy(policy, NO_REFERENCES);
      const invalid = findings.filter(({ severity, code }) => severity === 'error' && code === 'Invalid');
      assert.deepEqual(invalid, []);
      const operations = Object.values(openapi.paths).flatMap((item) =>
        Object.entries(item).filter(([method]) => method !== 'x-y'),
      );
      assert.equal(counts.operations + counts.leftOut, operations.length);
      const open = operations.some(
        ([, { security }]) =>
          security === undefined || security.some((one) => Object.keys(one).length === 0) || security.length === 0,
      );
      if (!open)
        assert.ok(policy.spec.rules.every(({ allow }) => allow.every(({ anonymous }) => anonymous === undefined)));
    }),
    { numRuns: 300 },
  );
  assert.ok(printed > 100, `${printed} of 300 documents became policies`);
});

import Type, { type Static } from 'typebox';
import { BYTE_SIZE_PATTERN } from './byte-size.ts';
import { objectName } from './common-fields.ts';
import { listOf, setOf, text } from './field.ts';
import { matches, rule } from './rule.ts';

const contentType = text({ description: 'A media type, in lower case and without parameters.', maxLength: 127 });

const bodyRule = Type.Object(
  {
    rule: text({
      description:
        'CEL that must be true, over body and what `when` sees. Numbers of a body are doubles: write 2.0, not 2. An error counts as broken.',
      maxLength: 1024,
    }),
    message: text({ description: 'What the client is told when it is not.', maxLength: 256 }),
  },
  { description: 'A rule over several fields of a body.' },
);

const oneSchema = rule<{ readonly schema?: unknown; readonly schemaRef?: unknown }>(
  '!(has(self.schema) && has(self.schemaRef))',
  'write schema or schemaRef, not both',
  ({ schema, schemaRef }) => schema === undefined || schemaRef === undefined,
);

/** What a rule demands of request bodies. */
export const ruleBody = Type.Object(
  {
    contentTypes: setOf(contentType, {
      description: 'Media types that are taken; others are answered 415. JSON and forms can be checked.',
      minItems: 1,
      maxItems: 8,
      default: ['application/json'],
    }),
    maxBytes: text({
      description: 'Largest body; a larger one is answered 413. At most 1Mi, 16Mi where nothing is checked.',
      maxLength: 12,
      default: '64Ki',
      rules: [matches(BYTE_SIZE_PATTERN, 'write a size such as 512, 64Ki or 1Mi')],
    }),
    schema: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        description:
          'JSON Schema (draft 2020-12) of the body. Patterns are RE2; references stay within the schema. What is broken is answered 400 with every field.',
        'x-kubernetes-preserve-unknown-fields': true,
      } as Parameters<typeof Type.Unsafe>[0]),
    ),
    schemaRef: Type.Optional(
      Type.Object(
        {
          configMap: Type.Object(
            {
              name: objectName(
                'The ConfigMap, in the policy\'s namespace and labelled portcullis.dev/allow-reference: "true".',
              ),
              key: text({
                description: 'The key that holds the schema, as JSON.',
                maxLength: 253,
                rules: [matches('^[-._a-zA-Z0-9]+$', 'write a key of a ConfigMap, such as order.json')],
              }),
            },
            { description: 'A key of a ConfigMap.' },
          ),
        },
        {
          description:
            'Where the schema stands that is not written here. Its changes take effect like those of the policy.',
        },
      ),
    ),
    rules: listOf(bodyRule, {
      description: 'Rules over several fields, asked about bodies that the schema lets through.',
      maxItems: 16,
      default: [],
    }),
  },
  {
    description:
      'What request bodies must be. They are read whole before they are forwarded, byte for byte. GET, HEAD, OPTIONS and DELETE may come without one.',
    defaultText: 'forwarded as they are',
    rules: [oneSchema],
  },
);

/** What a rule demands of request bodies, as it is written in a policy. */
export type RuleBody = Static<typeof ruleBody>;

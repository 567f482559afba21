import { type Field, fieldOf } from '../policy/api/field.ts';
import { API_VERSION, nameRule, type ResourceDefinition } from '../policy/api/resource.ts';
import type { Rule } from '../policy/api/rule.ts';
import { describeField } from './describe-field.ts';

const [GROUP, VERSION] = API_VERSION.split('/') as [string, string];

/** The CustomResourceDefinition (apiextensions.k8s.io/v1) of a kind, as plain data in the order it is to be read. */
export function crdManifest(definition: ResourceDefinition): object {
  const { kind, plural, singular, shortName } = definition;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}`, labels: { 'app.kubernetes.io/part-of': 'portcullis' } },
    spec: {
      group: GROUP,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames: [shortName], categories: ['portcullis'] },
      scope: 'Namespaced',
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: definition.printerColumns,
          schema: { openAPIV3Schema: rootSchema(definition) },
        },
      ],
    },
  };
}

function rootSchema(definition: ResourceDefinition): object {
  return {
    description: definition.description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { description: 'The API group and version.', type: 'string' },
      kind: { description: 'The kind of the object.', type: 'string' },
      metadata: { type: 'object' },
      spec: structuralSchema(fieldOf(definition.spec)),
      status: structuralSchema(fieldOf(definition.status)),
    },
    'x-kubernetes-validations': [validation(nameRule)],
  };
}

/** A field as a structural schema: descriptions made whole, defaulted members not required, rules as CEL. */
function structuralSchema(field: Field): object {
  const { rules, properties, required, additionalProperties, items, defaultText: _, description: __, ...kept } = field;
  const description = describeField(field);
  const must = required?.filter((name) => properties?.[name]?.default === undefined) ?? [];
  return {
    ...(description && { description }),
    ...kept,
    ...(kept['x-kubernetes-int-or-string'] && intOrString(kept)),
    ...(must.length > 0 && { required: must }),
    ...(properties && { properties: mapValues(properties, structuralSchema) }),
    ...(additionalProperties && { additionalProperties: structuralSchema(additionalProperties) }),
    ...(items && { items: structuralSchema(items) }),
    ...(rules && rules.length > 0 && { 'x-kubernetes-validations': rules.map(validation) }),
  };
}

/** Numbers of the closed list as numbers too, and no one type. */
function intOrString({ enum: words = [] }: Field): object {
  const numbers = words.filter((word) => /^\d+$/.test(word)).map(Number);
  return { type: undefined, enum: [...numbers, ...words] };
}

function validation({ cel, message, fieldPath }: Rule): object {
  return { rule: cel, message, ...(fieldPath && { fieldPath }) };
}

function mapValues(record: Readonly<Record<string, Field>>, map: (field: Field) => object): Record<string, object> {
  return Object.fromEntries(Object.entries(record).map(([name, field]) => [name, map(field)]));
}

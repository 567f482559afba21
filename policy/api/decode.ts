import { checkField, isObject } from './check-field.ts';
import { namespaceName, objectName } from './common-fields.ts';
import { type Field, fieldOf, textsByName } from './field.ts';
import { kinds, type Resource } from './kinds.ts';
import { didYouMean } from './nearest.ts';
import type { Problem } from './problem.ts';
import { API_VERSION, nameRule, type ResourceDefinition } from './resource.ts';

/**
 * A resource with its defaults filled in, or everything that is wrong with it; then `faulty` is the resource when it has
 * the shape of its type, so that a compiler can find what else is wrong.
 */
export type Decoded =
  | { readonly resource: Resource }
  | { readonly problems: readonly Problem[]; readonly faulty?: Resource };

const texts = (description: string): Field =>
  fieldOf(textsByName({ type: 'string' } as Field, { description, maxProperties: 1024 }));

/** The members of Kubernetes' ObjectMeta (meta/v1) that we read. */
const metadata: Field = {
  type: 'object',
  required: ['name'],
  properties: {
    name: fieldOf(objectName('the name of the object')),
    namespace: { ...fieldOf(namespaceName('Namespace of the object.', 'default')), default: 'default' },
    uid: { type: 'string' },
    generation: { type: 'integer' },
    labels: texts('Labels.'),
    annotations: texts('Annotations.'),
  },
};

/** Members that `kubectl get -o yaml` writes beside those; let through unread. */
const UNREAD_METADATA: readonly string[] = [
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'finalizers',
  'generateName',
  'managedFields',
  'ownerReferences',
  'resourceVersion',
  'selfLink',
];

/**
 * Reads a parsed document as one of the three resources, by the rules that kube-apiserver has from the CRDs, and reports
 * everything that is wrong at once. What the operator wrote (`status`) is not read.
 */
export function decodeResource(value: unknown): Decoded {
  if (!isObject(value))
    return problem([], `must be one resource: an object with apiVersion: ${API_VERSION} and a kind`);
  if (value['apiVersion'] !== API_VERSION) return problem(['apiVersion'], `must be ${API_VERSION}`);
  const definition = kinds.find((known) => known.kind === value['kind']);
  if (definition === undefined) {
    const names = kinds.map((known) => known.kind);
    return problem(['kind'], `must be one of ${names.join(', ')}${didYouMean(String(value['kind']), names)}`);
  }
  const problems: Problem[] = [];
  const checked = checkField(rootField(definition), withoutUnread(value), [], problems);
  const resource = checked.value as Resource;
  if (problems.length === 0) return { resource };
  return checked.typed ? { problems, faulty: resource } : { problems };
}

function rootField(definition: ResourceDefinition): Field {
  const properties = {
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata,
    spec: fieldOf(definition.spec),
  } as const;
  return { type: 'object', required: ['metadata', 'spec'], properties, rules: [nameRule] };
}

function withoutUnread(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { status: _, ...read } = value;
  const given = value['metadata'];
  if (!isObject(given)) return read;
  const kept = Object.entries(given).filter(([name]) => !UNREAD_METADATA.includes(name));
  return { ...read, metadata: Object.fromEntries(kept) };
}

function problem(path: Problem['path'], message: string): Decoded {
  return { problems: [{ path, message }] };
}

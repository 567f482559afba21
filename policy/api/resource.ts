import Type, { type TSchema } from 'typebox';
import { rule } from './rule.ts';

/** The API group and version of the three resources. */
export const API_VERSION = 'portcullis.dev/v1alpha1';

/** The members of Kubernetes' ObjectMeta that Portcullis reads. */
export interface ObjectMeta {
  readonly name: string;
  /** `default` where a document does not say. */
  readonly namespace: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Any resource of the group, by its kind, its spec with defaults filled in, and its status. */
export interface ResourceOf<Kind extends string, Spec, Status> {
  readonly apiVersion: typeof API_VERSION;
  readonly kind: Kind;
  readonly metadata: ObjectMeta;
  readonly spec: Spec;
  readonly status?: Status;
}

/** How kubectl shows a resource. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  readonly description: string;
}

/** Everything that crds/, docs/reference.md and the decoder need to know of a kind. */
export interface ResourceDefinition {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortName: string;
  readonly description: string;
  readonly spec: TSchema;
  readonly status: TSchema;
  readonly printerColumns: readonly PrinterColumn[];
}

/** Names are bounded because names of Secrets, of at most 253 characters, are made from them. */
export const nameRule = rule<{ metadata: { name: string } }>(
  'size(self.metadata.name) <= 63',
  'metadata.name must have at most 63 characters: names of Secrets are made from it',
  (resource) => resource.metadata.name.length <= 63,
);

/** Kubernetes' condition (meta/v1). */
const condition = Type.Object(
  {
    type: Type.String({
      maxLength: 316,
      description: 'Accepted, Ready, Enforced or Degraded; EgressEnforced of policies with egress.',
    }),
    status: Type.Unsafe<'True' | 'False' | 'Unknown'>({
      type: 'string',
      enum: ['True', 'False', 'Unknown'],
      description: 'Whether the condition holds.',
    } as TSchema),
    reason: Type.String({ maxLength: 1024, description: 'One word of a closed list, for machines.' }),
    message: Type.String({ maxLength: 32768, description: 'What it means here and what to do, for people.' }),
    lastTransitionTime: Type.String({ format: 'date-time', description: 'When status last changed. RFC 3339.' }),
    observedGeneration: Type.Optional(
      Type.Integer({ format: 'int64', minimum: 0, description: 'The metadata.generation that this is about.' }),
    ),
  },
  { description: 'One condition.' },
);

/** The members of every status. */
export const commonStatus = {
  observedGeneration: Type.Optional(
    Type.Integer({ format: 'int64', minimum: 0, description: 'The metadata.generation that the status is about.' }),
  ),
  conditions: Type.Optional(
    Type.Array(condition, {
      maxItems: 16,
      description: 'Accepted, Ready, Enforced and Degraded; set to Unknown, never deleted.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    }),
  ),
  pods: Type.Optional(
    Type.Object(
      {
        matched: Type.Integer({ format: 'int32', minimum: 0, description: 'Pods that the resource is for.' }),
        current: Type.Integer({
          format: 'int32',
          minimum: 0,
          description: 'Pods that acknowledged the latest serial.',
        }),
        stale: Type.Integer({ format: 'int32', minimum: 0, description: 'Pods that still run an older serial.' }),
      },
      { description: 'Pods that count: not terminating, sidecar running, node Ready.' },
    ),
  ),
};

/** Columns that every kind shows. */
export const columns = {
  condition: (type: string): PrinterColumn => ({
    name: type,
    type: 'string',
    jsonPath: `.status.conditions[?(@.type=="${type}")].status`,
    description: `Whether the resource is ${type}.`,
  }),
  mode: { name: 'Mode', type: 'string', jsonPath: '.spec.mode', description: 'Enforce or Shadow.' },
  pods: {
    name: 'Pods',
    type: 'integer',
    jsonPath: '.status.pods.matched',
    description: 'Pods that the resource is for.',
  },
  age: { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since creation.' },
} as const;

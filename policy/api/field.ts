import Type, { type Static, type TObject, type TProperties, type TSchema } from 'typebox';
import type { Rule } from './rule.ts';

/**
 * A field of a resource as the generators and the decoder see it: what TypeBox built, in the words of a
 * CRD's schema, and two of ours: `rules` and `defaultText`.
 */
export interface Field {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly default?: unknown;
  /** How a default that depends on other fields is described. */
  readonly defaultText?: string;
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly nullable?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Field;
  readonly items?: Field;
  /** Any object: its members are not looked at. */
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  /** A word of `enum` that is a number may be written as one. */
  readonly 'x-kubernetes-int-or-string'?: true;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly rules?: readonly Rule[];
}

/** What every field says about itself. */
export interface FieldOptions {
  readonly description: string;
  readonly default?: unknown;
  readonly defaultText?: string;
  readonly rules?: readonly Rule[];
}

/** The type of an object by its fields; for rules about it, which are part of its schema. */
export type ObjectOf<Fields extends TProperties> = Static<TObject<Fields>>;

/** Looks at a TypeBox schema as a field. */
export function fieldOf(schema: TSchema): Field {
  return schema as Field;
}

/** A text of bounded length. */
export function text(options: FieldOptions & { maxLength: number; minLength?: number; format?: string }) {
  return Type.String({ minLength: 1, ...options });
}

/** One of a closed list of words. */
export function oneOf<const Word extends string>(words: readonly Word[], options: FieldOptions) {
  return Type.Unsafe<Word>({ type: 'string', enum: words, ...options } as TSchema);
}

/** A list in which no item stands twice. */
export function setOf<Item extends TSchema>(
  items: Item,
  options: FieldOptions & { maxItems: number; minItems?: number },
) {
  return Type.Array(items, { ...options, 'x-kubernetes-list-type': 'set' });
}

/** A list whose items are told apart by one of their members, `name` unless said otherwise. */
export function mapOf<Item extends TSchema>(
  items: Item,
  options: FieldOptions & { maxItems: number; minItems?: number; key?: string },
) {
  const { key = 'name', ...rest } = options;
  return Type.Array(items, { ...rest, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] });
}

/** A list whose order means something. */
export function listOf<Item extends TSchema>(
  items: Item,
  options: FieldOptions & { maxItems: number; minItems?: number },
) {
  return Type.Array(items, { ...options, 'x-kubernetes-list-type': 'atomic' });
}

/** Texts by freely chosen names. */
export function textsByName(values: TSchema, options: FieldOptions & { maxProperties: number }) {
  return Type.Unsafe<Record<string, string>>({ type: 'object', additionalProperties: values, ...options } as TSchema);
}

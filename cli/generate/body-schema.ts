import { isObject } from '../../policy/api/check-field.ts';
import { FORMATS } from '../../policy/evaluate/body/formats.ts';
import { memberPointer } from '../../policy/evaluate/body/json-pointer.ts';
import { compilePattern } from '../../policy/evaluate/cel-matches.ts';
import type { JsonObject, OpenApiDocument } from './openapi-document.ts';
import type { Report } from './report.ts';
import { UniqueNames } from './unique-names.ts';

type Holds = 'schema' | 'schemas' | 'schema map' | 'plain' | 'nothing' | 'in place' | 'in place list';
type Schema = Record<string, unknown>;
/** Types that a value may have, by the schemas around that apply to it too; null: any. */
type Types = readonly string[] | null;

/** Keywords that stay, and which of them hold schemas, for the value itself (in place) or for what is in it. */
const KEYWORDS: ReadonlyMap<string, Holds> = new Map<string, Holds>([
  ...all('schema', 'items contains propertyNames additionalProperties unevaluatedItems unevaluatedProperties'),
  ...all('schemas', 'prefixItems'),
  ...all('in place', 'not if then else'),
  ...all('in place list', 'allOf anyOf oneOf'),
  ...all('schema map', 'properties patternProperties dependentSchemas'),
  ...all('plain', 'type enum const multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength'),
  ...all('plain', 'pattern maxItems minItems uniqueItems maxContains minContains maxProperties minProperties'),
  ...all('plain', 'required dependentRequired format'),
  ...all('nothing', 'title description default example examples deprecated readOnly writeOnly xml externalDocs'),
  ...all('nothing', 'discriminator nullable $comment $schema $defs definitions contentEncoding contentMediaType'),
]);

/** Types that a keyword speaks about. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ...all('object', 'properties patternProperties additionalProperties required minProperties maxProperties'),
  ...all('object', 'propertyNames dependentRequired dependentSchemas unevaluatedProperties'),
  ...all('array', 'items prefixItems contains minItems maxItems uniqueItems minContains maxContains unevaluatedItems'),
  ...all('string', 'pattern minLength maxLength format'),
  ...all('number', 'multipleOf maximum exclusiveMaximum minimum exclusiveMinimum'),
]);

/** Formats that say how a program holds a value, or that are for people. */
const SILENT_FORMATS = new Set(['int32', 'int64', 'float', 'double', 'byte', 'binary', 'password']);
/** Keywords whose schemas are for the value itself. */
const IN_PLACE = ['allOf', 'anyOf', 'oneOf'];
const FLAT = new Set(['pattern', 'format', 'required', 'exclusiveMinimum', 'exclusiveMaximum']);

function all<const Value>(value: Value, names: string): [string, Value][] {
  return names.split(' ').map((name) => [name, value]);
}

/**
 * Writes Schema Objects of OpenAPI 3.0 and 3.1 as one JSON Schema (draft 2020-12) of the keywords that bodies are checked with;
 * what they refer to comes along as `$defs`. Reports what is lost.
 */
export class BodySchemaWriter {
  readonly #document: OpenApiDocument;
  readonly #report: Report;
  readonly #names = new UniqueNames(
    (target) => target.slice(target.lastIndexOf('/') + 1).replaceAll(/[^\w.-]+/g, '-') || 'schema',
  );
  readonly #definitions = new Map<string, unknown>();

  constructor(document: OpenApiDocument, report: Report) {
    this.#document = document;
    this.#report = report;
  }

  /** The schemas as one, of which a body must match any; always an object. */
  write(schemas: readonly { readonly value: unknown; readonly pointer: string }[]): object {
    const written = new Map(
      schemas.map(({ value, pointer }) => {
        const schema = this.#schema(value, pointer, null);
        return [JSON.stringify(schema), schema] as const;
      }),
    );
    const [first] = written.values();
    const schema = written.size === 1 ? first : { anyOf: [...written.values()] };
    const root = isObject(schema) ? schema : schema === false ? { not: {} } : {};
    if (this.#definitions.size === 0) return root;
    // Each $ref is followed once, so definitions exist by now.
    return { ...root, $defs: Object.fromEntries(this.#definitions) };
  }

  #schema(schema: unknown, pointer: string, context: Types): unknown {
    if (typeof schema === 'boolean') return schema;
    if (!isObject(schema)) {
      this.#report.note(pointer, 'is no schema (an object, true or false); anything is taken there');
      return {};
    }
    if (schema['$ref'] === undefined) return this.#object(schema, pointer, context);
    const target = this.#document.target(schema['$ref'], `${pointer}/$ref`);
    const reference = target === null ? {} : { $ref: `#/$defs/${this.#define(target)}` };
    if (this.#document.refStandsAlone) return reference;
    const { $ref: _, ...beside } = schema;
    return { ...reference, ...this.#object(beside, pointer, context) };
  }

  #define(target: string): string {
    const name = this.#names.of(target);
    if (!this.#definitions.has(name)) {
      this.#definitions.set(name, {}); // before it is written: it may refer to itself
      this.#definitions.set(name, this.#schema(this.#document.at(target), target, null));
    }
    return name;
  }

  #object(schema: JsonObject, pointer: string, context: Types): Schema {
    const own = ownTypes(schema, context);
    const types = own ?? context;
    const written: Schema = {};
    for (const [keyword, value] of Object.entries(schema)) {
      const place = memberPointer(pointer, keyword);
      const holds = KEYWORDS.get(keyword);
      const about = TYPES.get(keyword);
      if (holds === undefined) {
        if (!keyword.startsWith('x-')) this.#report.note(place, `${keyword} is not checked in bodies, left out`);
      } else if (about !== undefined && types !== null && !types.some((type) => isOfType(type, about))) {
        if (!SILENT_FORMATS.has(String(value)))
          this.#report.note(place, `${keyword} is for type ${about} and says nothing here, left out`);
      } else if (keyword === 'type') written['type'] = own === null ? value : oneOrMore(own);
      else if (FLAT.has(keyword)) this.#flat(schema, keyword, value, place, written);
      else if (holds === 'plain') written[keyword] = value;
      else if (holds !== 'nothing') written[keyword] = this.#inner(holds, value, place, types);
    }
    if (types === null) this.#guessType(written, pointer);
    return schema['nullable'] === true ? nullable(written, context) : written;
  }

  #inner(holds: Holds, value: unknown, place: string, types: Types): unknown {
    const context = holds.startsWith('in place') ? types : null;
    if (holds === 'schema' || holds === 'in place') return this.#schema(value, place, context);
    if (Array.isArray(value)) return value.map((item, at) => this.#schema(item, memberPointer(place, at), context));
    if (!isObject(value)) return value;
    const entries = Object.entries(value).filter(([name]) => {
      const sound = !place.endsWith('/patternProperties') || compilePattern(name).ok;
      if (!sound) this.#report.note(memberPointer(place, name), 'RE2 does not take this pattern, left out');
      return sound;
    });
    return Object.fromEntries(
      entries.map(([name, item]) => [name, this.#schema(item, memberPointer(place, name), null)]),
    );
  }

  /** Keywords that are not written as they stand. */
  #flat(schema: JsonObject, keyword: string, value: unknown, place: string, written: Schema): void {
    if (keyword === 'required') {
      const required = Array.isArray(value) ? value.filter((name) => !this.#isReadOnly(schema, name, place)) : value;
      if (!Array.isArray(required) || required.length > 0) written['required'] = required;
    } else if (keyword === 'pattern') {
      if (typeof value === 'string' && compilePattern(value).ok) written['pattern'] = value;
      else this.#report.note(place, 'RE2 does not take this pattern, left out');
    } else if (keyword === 'format') {
      if (typeof value === 'string' && Object.hasOwn(FORMATS, value)) written['format'] = value;
      else if (!SILENT_FORMATS.has(String(value)))
        this.#report.note(place, `format ${JSON.stringify(value)} is not checked, left out`);
    } else if (typeof value !== 'boolean') {
      written[keyword] = value;
    } else if (value) {
      // OpenAPI 3.0: a boolean beside the bound (JSON Schema draft 4).
      const bound = keyword === 'exclusiveMinimum' ? 'minimum' : 'maximum';
      if (schema[bound] !== undefined) written[keyword] = schema[bound];
    }
  }

  /** What only answers hold is not required of requests (OpenAPI 3.0.4 section 4.7.24.2). */
  #isReadOnly(schema: JsonObject, name: unknown, place: string): boolean {
    const { properties } = schema;
    if (typeof name !== 'string' || !isObject(properties) || !Object.hasOwn(properties, name)) return false;
    const property = properties[name];
    if (!isObject(property)) return false;
    if (property['readOnly'] === true || property['$ref'] === undefined) return property['readOnly'] === true;
    return this.#document.resolve(property, place)?.value['readOnly'] === true;
  }

  /** A keyword for strings lets every number through where no type is said. */
  #guessType(written: Schema, pointer: string): void {
    const types = new Set(Object.keys(written).flatMap((keyword) => TYPES.get(keyword) ?? []));
    if (types.size === 0) return;
    const parts = IN_PLACE.flatMap((keyword) => written[keyword] ?? []);
    for (const type of parts.flatMap((part) => (isObject(part) ? (part['type'] ?? []) : []))) types.add(String(type));
    if (types.has('number')) types.delete('integer');
    written['type'] = oneOrMore([...types]);
    this.#report.note(pointer, `says no type; ${[...types].join(' or ')} was taken, by its other keywords`);
  }
}

function oneOrMore(types: readonly string[]): unknown {
  return types.length === 1 ? types[0] : types;
}

/** The types that a schema names, of those that are possible here; null: it names none. */
function ownTypes({ type, nullable }: JsonObject, context: Types): Types {
  if (type === undefined) return null;
  const own = [type, nullable === true ? 'null' : []].flat().map(String);
  if (context === null) return own;
  const possible = context.filter((one) => own.some((other) => isOfType(one, other)));
  const narrower = own.filter((one) => context.some((other) => isOfType(one, other)));
  const both = [...new Set([...possible, ...narrower])];
  return both.length === 0 ? own : both;
}

function isOfType(type: string, other: string): boolean {
  return type === other || (type === 'integer' && other === 'number');
}

/** OpenAPI 3.0's `nullable` (section 4.7.24.1). */
function nullable(schema: Schema, context: Types): Schema {
  if (context !== null && !context.includes('null')) return schema;
  const { type, enum: values } = schema;
  if (type === undefined) return Object.keys(schema).length === 0 ? schema : { anyOf: [{ type: 'null' }, schema] };
  const types = new Set([type, 'null'].flat());
  return {
    ...schema,
    type: [...types],
    ...(Array.isArray(values) && !values.includes(null) && { enum: [...values, null] }),
  };
}

import type { RE2JS } from 're2js';
import { didYouMean } from '../../api/nearest.ts';
import type { Path, Problem } from '../../api/problem.ts';
import { compilePattern } from '../cel-matches.ts';
import { FORMATS } from './formats.ts';

/** A schema that is not just true or false. */
export type SchemaObject = Readonly<Record<string, unknown>>;

type Holds = 'schema' | 'schemas' | 'schema map' | 'plain';

const MAX_LENGTH = 65_536;
const MAX_VALUES = 20_000;
const MAX_DEPTH = 64;
const DRAFT = 'https://json-schema.org/draft/2020-12/schema';
const LOCAL_REF = /^#\/\$defs\/([\w.-]+)$/;

const KEYWORDS: Readonly<Record<string, Holds>> = {
  ...keywords('schema', 'not if then else contains propertyNames additionalProperties items'),
  ...keywords('schema', 'unevaluatedItems unevaluatedProperties'),
  ...keywords('schemas', 'allOf anyOf oneOf prefixItems'),
  ...keywords('schema map', 'properties patternProperties dependentSchemas $defs'),
  ...keywords(
    'plain',
    'type enum const multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength',
  ),
  ...keywords(
    'plain',
    'pattern maxItems minItems uniqueItems maxContains minContains maxProperties minProperties required',
  ),
  ...keywords('plain', 'dependentRequired format $ref $schema $comment title description default deprecated readOnly'),
  ...keywords('plain', 'writeOnly examples contentEncoding contentMediaType'),
};
const REMEDIES: Readonly<Record<string, string>> = {
  $id: 'leave it out; references are local (#/$defs/NAME)',
  $anchor: 'refer by #/$defs/NAME',
  $dynamicRef: 'write $ref: "#/$defs/NAME"',
  $dynamicAnchor: 'refer by #/$defs/NAME',
  definitions: 'write $defs',
  additionalItems: 'write items, beside prefixItems',
  dependencies: 'write dependentRequired or dependentSchemas',
  nullable: 'write type: [string, "null"]',
  example: 'write examples, a list',
  discriminator: 'write const in each schema of oneOf',
};

const NEEDED_BESIDE: Readonly<Record<string, readonly string[]>> = {
  if: ['then', 'else'],
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: ['if'],
  else: ['if'],
  minContains: ['contains'],
  maxContains: ['contains'],
};

function keywords(holds: Holds, names: string): Record<string, Holds> {
  return Object.fromEntries(names.split(' ').map((name) => [name, holds]));
}

/** A schema whose shape is known to be sound, and all the schemas in it. */
export interface CheckedSchema {
  readonly root: unknown;
  /** Every schema that is an object, the root included. */
  readonly nodes: readonly SchemaObject[];
  /** Every keyword in it. */
  readonly uses: ReadonlySet<string>;
  /** Every regular expression in it, compiled. */
  readonly patterns: ReadonlyMap<string, RE2JS>;
}

/**
 * Checks a JSON Schema (draft 2020-12) as far as it can be read without its meta-schema: its size, that it holds known keywords
 * only, local references to what is there, known formats, patterns that RE2 takes, no name that JavaScript keeps for itself.
 */
export function checkSchema(
  root: unknown,
  path: Path,
): { readonly schema: CheckedSchema; readonly problems: readonly Problem[] } {
  const size = sizeProblem(root);
  if (size !== null) return { schema: new SchemaChecker(false), problems: [{ path, message: size }] };
  // As it would come out of a bundle: in a document that was YAML one object may stand in many places.
  const checker = new SchemaChecker(JSON.parse(JSON.stringify(root)));
  checker.check(checker.root, path);
  return { schema: checker, problems: checker.problems };
}

/** The schema that a checked local reference names. */
export function resolveRef(root: unknown, ref: unknown): unknown {
  const name = typeof ref === 'string' ? LOCAL_REF.exec(ref)?.[1] : undefined;
  const definitions = isObject(root) ? root['$defs'] : undefined;
  return name !== undefined && isObject(definitions) && Object.hasOwn(definitions, name)
    ? definitions[name]
    : undefined;
}

/** The schemas right inside `node`, with the keyword and the name or index that they stand under. */
export function* subschemas(
  node: SchemaObject,
): Iterable<readonly [keyword: string, member: string | number | null, schema: unknown]> {
  for (const [keyword, value] of Object.entries(node)) {
    const holds = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : 'plain';
    if (holds === 'schema') yield [keyword, null, value];
    if (holds === 'schemas' && Array.isArray(value))
      for (const [at, item] of value.entries()) yield [keyword, at, item];
    if (holds === 'schema map' && isObject(value)) {
      for (const [name, member] of Object.entries(value)) yield [keyword, name, member];
    }
  }
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

class SchemaChecker implements CheckedSchema {
  readonly root: unknown;
  readonly nodes: SchemaObject[] = [];
  readonly uses = new Set<string>();
  readonly patterns = new Map<string, RE2JS>();
  readonly problems: Problem[] = [];

  constructor(root: unknown) {
    this.root = root;
  }

  check(schema: unknown, path: Path): void {
    if (typeof schema === 'boolean') return;
    if (!isObject(schema)) {
      this.#problem(path, 'a schema is an object, true or false');
      return;
    }
    this.nodes.push(schema);
    for (const [keyword, value] of Object.entries(schema))
      this.#checkKeyword(schema, keyword, value, [...path, keyword]);
    for (const [keyword, member, inner] of subschemas(schema)) {
      const at = [...path, keyword, ...(member === null ? [] : [member])];
      if (keyword === 'patternProperties') this.#checkPattern(member, at);
      if (member === '__proto__') this.#problem(at, 'no member of a body can be named so here; leave it out');
      this.check(inner, at);
    }
  }

  #checkKeyword(schema: SchemaObject, keyword: string, value: unknown, path: Path): void {
    this.uses.add(keyword);
    if (!Object.hasOwn(KEYWORDS, keyword)) {
      const remedy = Object.hasOwn(REMEDIES, keyword)
        ? `; ${REMEDIES[keyword]}`
        : didYouMean(keyword, Object.keys(KEYWORDS));
      this.#problem(path, `no keyword that schemas here may use${remedy || '; leave it out'}`);
      return;
    }
    if (keyword === '$schema' && value !== DRAFT) this.#problem(path, `write ${DRAFT}, or leave it out`);
    if (keyword === '$defs' && schema !== this.root) this.#problem(path, 'write $defs at the root of the schema');
    if (keyword === '$ref' && resolveRef(this.root, value) === undefined) {
      this.#problem(
        path,
        'write "#/$defs/NAME" with a NAME of $defs at the root of the schema, of letters, digits, "_", "." and "-"',
      );
    }
    if (keyword === 'format' && typeof value === 'string' && !Object.hasOwn(FORMATS, value)) {
      const formats = Object.keys(FORMATS);
      this.#problem(path, `unknown format${didYouMean(value, formats) || `; there are ${formats.join(', ')}`}`);
    }
    const needed = NEEDED_BESIDE[keyword];
    if (needed !== undefined && !needed.some((other) => Object.hasOwn(schema, other))) {
      this.#problem(path, `says nothing without ${needed.join(' or ')}; add it`);
    }
    if (keyword === 'pattern') this.#checkPattern(value, path);
    if (keyword === 'required') this.#checkRequired(schema, value, path);
  }

  /** A slip in `required` beside closed properties would refuse every body. */
  #checkRequired(schema: SchemaObject, required: unknown, path: Path): void {
    const properties = schema['properties'];
    if (schema['additionalProperties'] !== false || schema['patternProperties'] !== undefined) return;
    if (!Array.isArray(required) || !isObject(properties)) return;
    for (const [at, name] of required.entries()) {
      if (typeof name !== 'string' || Object.hasOwn(properties, name)) continue;
      const remedy = didYouMean(name, Object.keys(properties)) || '; add it there';
      this.#problem([...path, at], `required, but properties does not have it${remedy}`);
    }
  }

  #checkPattern(pattern: unknown, path: Path): void {
    if (typeof pattern !== 'string') return;
    const compiled = compilePattern(pattern);
    if (compiled.ok) this.patterns.set(pattern, compiled.value);
    else this.#problem(path, compiled.message);
  }

  #problem(path: Path, message: string): void {
    this.problems.push({ path, message });
  }
}

/** Counts before it prints, because one value may stand in many places of a document that was YAML. */
function sizeProblem(schema: unknown): string | null {
  let values = 0;
  const fits = (value: unknown, depth: number): boolean => {
    if (++values > MAX_VALUES || depth > MAX_DEPTH) return false;
    return (
      typeof value !== 'object' || value === null || Object.values(value).every((member) => fits(member, depth + 1))
    );
  };
  if (!fits(schema, 0))
    return `schema is too large; write at most ${MAX_VALUES} values, nested at most ${MAX_DEPTH} deep`;
  const bytes = Buffer.byteLength(JSON.stringify(schema) ?? '');
  return bytes <= MAX_LENGTH ? null : `schema is ${bytes} bytes long; write at most ${MAX_LENGTH}`;
}

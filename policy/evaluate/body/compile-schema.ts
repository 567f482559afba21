import { Ajv2020, type Options, type ValidateFunction } from 'ajv/dist/2020.js';
import type { Path, Problem } from '../../api/problem.ts';
import type { Violation } from './body-config.ts';
import { type CheckedSchema, checkSchema } from './check-schema.ts';
import { FORMATS } from './formats.ts';
import { hasMember } from './has-member.ts';
import { multipleOf, uniqueItems } from './keywords.ts';
import { schemaCost } from './schema-cost.ts';
import { toViolations } from './schema-violations.ts';

/** A compiled schema. */
export interface BodySchema {
  /** What is wrong with a value of bounded depth; empty: nothing. Of a body that might need a long list, the first thing only. */
  validate(body: unknown): readonly Violation[];
}

/** A compiled schema, or why it is refused. */
export type SchemaResult =
  | { readonly ok: true; readonly value: BodySchema }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Checks that one value may undergo. */
const MAX_CHECKS = 2_048;
/** Checks that may fail in one body of which everything wrong is listed. */
const MAX_CHECKS_LISTED = 65_536;
/** Characters searched in one body, times the instructions of the pattern. */
const MAX_PATTERN_WORK = 2_000_000;
const STRICT_MODE = /^strict mode: (.*) at "#([^"]*)" \(strict\w+\)$/;

/**
 * Compiles a JSON Schema (draft 2020-12) with ajv, its patterns with RE2. Refused: what `checkSchema` and its meta-schema refuse,
 * keywords for a type that `type` does not name, and what may cost too much of a small body.
 * @param path where the schema stands, for problems
 */
export function compileSchema(root: unknown, path: Path, maxDepth: number): SchemaResult {
  const { schema, problems } = checkSchema(root, path);
  if (problems.length > 0) return { ok: false, problems };
  const misshapen = shapeProblems(schema, path);
  if (misshapen.length > 0) return { ok: false, problems: misshapen };
  const cost = schemaCost(schema, maxDepth);
  if (cost === null)
    return refuse(path, 'a $ref leads back to its own schema for the same value; put it under properties or items');
  const most = Math.max(...cost);
  if (most > MAX_CHECKS) {
    const remedy = 'write fewer alternatives and references, shorter enum and required';
    return refuse(path, `one value may need more than ${MAX_CHECKS} checks; ${remedy}`);
  }
  try {
    return { ok: true, value: new CompiledSchema(schema, cost) };
  } catch (error) {
    const [, what, where] = STRICT_MODE.exec(String(error instanceof Error && error.message)) ?? [];
    if (what === undefined)
      return refuse(path, `schema is refused: ${error instanceof Error ? error.message : 'unknown reason'}`);
    return refuse(
      [...path, ...pathOf(schema.root, where!)],
      `${what}; write type right here, for all keywords that depend on it`,
    );
  }
}

class CompiledSchema implements BodySchema {
  readonly #unevaluated: boolean;
  readonly #cost: readonly number[];
  readonly #first: ValidateFunction;
  readonly #all: ValidateFunction;
  #patternWorkLeft = 0;

  constructor(schema: CheckedSchema, cost: readonly number[]) {
    this.#unevaluated = schema.uses.has('unevaluatedProperties');
    this.#cost = cost;
    this.#first = this.#compile(schema, false);
    this.#all = this.#compile(schema, true);
  }

  validate(body: unknown): readonly Violation[] {
    try {
      if (this.#holds(this.#first, body)) {
        // ajv looks evaluated members up in an object that inherits these names, and so lets them through.
        const inherited = this.#unevaluated && hasMember(body, (name) => name in Object.prototype);
        return inherited ? [{ pointer: '', message: 'holds a member named as one of every object; rename it' }] : [];
      }
      // A list of all errors may be a thousand times as large as the body.
      const listable = checksOf(body, this.#cost) <= MAX_CHECKS_LISTED;
      if (listable) this.#holds(this.#all, body);
      const listed = toViolations((listable ? this.#all : this.#first).errors ?? []);
      const violations = listed.length > 0 ? listed : [{ pointer: '', message: 'is not what the schema describes' }];
      return listable
        ? violations
        : [...violations, { pointer: '', message: 'is too large to list what else is wrong' }];
    } catch (error) {
      if (error instanceof PatternWorkExceeded) {
        return [{ pointer: '', message: 'holds more text than its patterns may search; send less at once' }];
      }
      if (!(error instanceof RangeError)) throw error; // the stack, of references from each level to the next
      return [{ pointer: '', message: 'is nested too deep for its schema' }];
    } finally {
      // They hold on to the body.
      this.#first.errors = null;
      this.#all.errors = null;
    }
  }

  #holds(validator: ValidateFunction, body: unknown): boolean {
    this.#patternWorkLeft = MAX_PATTERN_WORK;
    return validator(body);
  }

  /**
   * ajv writes JavaScript of the schema and runs it. That is safe here: of the schema only keywords of a closed list reach it
   * (not $async, $data or $id, nor remote references), names and strings enter the code through its quoting, and patterns,
   * formats and constants as objects. Neither advisory about ajv (CVE-2020-15366; CVE-2025-69873, of $data) holds for 8.20.
   */
  #compile({ root, patterns }: CheckedSchema, allErrors: boolean): ValidateFunction {
    const regExp = (pattern: string) => ({
      test: (text: string): boolean => {
        const compiled = patterns.get(pattern)!;
        this.#patternWorkLeft -= text.length * compiled.programSize();
        if (this.#patternWorkLeft < 0) throw new PatternWorkExceeded();
        return compiled.test(text);
      },
      // ajv takes patterns of the same text to be the same.
      toString: () => pattern,
    });
    const ajv = new Ajv2020({
      ...OPTIONS,
      allErrors,
      code: { optimize: false, regExp: Object.assign(regExp, { code: 'unused' }) },
    });
    for (const keyword of [uniqueItems, multipleOf]) {
      ajv.removeKeyword(String(keyword.keyword));
      ajv.addKeyword(keyword);
    }
    return ajv.compile(root as object | boolean);
  }
}

class PatternWorkExceeded extends Error {}

const OPTIONS: Options = {
  meta: false,
  validateSchema: false,
  addUsedSchema: false,
  inlineRefs: false, // the code stays as long as the schema
  ownProperties: true, // or `constructor` counts as present everywhere (ajv#2664)
  formats: FORMATS,
  verbose: true,
  logger: false,
  strictTypes: true, // `properties` without `type` lets every array through
  allowUnionTypes: true,
  strictTuples: false,
  allowMatchingProperties: true,
};

/** How many checks of a body may fail, by the number of values at each depth. Stops where the list would be too long. */
function checksOf(body: unknown, cost: readonly number[]): number {
  let checks = 0;
  const count = (value: unknown, depth: number): void => {
    checks += cost[depth] ?? 0;
    if (checks > MAX_CHECKS_LISTED || typeof value !== 'object' || value === null) return;
    for (const member of Object.values(value)) count(member, depth + 1);
  };
  count(body, 0);
  return checks;
}

let metaSchema: Ajv2020 | undefined;

function shapeProblems({ root }: CheckedSchema, path: Path): readonly Problem[] {
  metaSchema ??= new Ajv2020({ allErrors: true, verbose: true, strict: false, logger: false });
  if (metaSchema.validateSchema(root as object | boolean) === true) return [];
  const problems = new Map<string, Problem>();
  for (const { pointer, message } of toViolations(metaSchema.errors ?? [])) {
    // Of several messages about one place the first says most.
    if (!problems.has(pointer)) problems.set(pointer, { path: [...path, ...pathOf(root, pointer)], message });
  }
  return [...problems.values()];
}

/** A JSON Pointer into `root` as a path: what stands in a list is counted. */
function pathOf(root: unknown, pointer: string): Path {
  const path: (string | number)[] = [];
  let at: unknown = root;
  for (const part of pointer.split('/').slice(1)) {
    const name = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(at) ? Number(name) : name);
    at = typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[name] : undefined;
  }
  return path;
}

function refuse(path: Path, message: string): SchemaResult {
  return { ok: false, problems: [{ path, message }] };
}

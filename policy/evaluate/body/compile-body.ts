import type { Path, Problem } from '../../api/problem.ts';
import { type CelExpression, compileCel } from '../cel.ts';
import type { ConditionContext } from '../condition-context.ts';
import type { BodyConfig, BodyRefusal, Violation } from './body-config.ts';
import { type BodySchema, compileSchema } from './compile-schema.ts';
import { hasMember } from './has-member.ts';
import { type BodyFormat, formatOf, parseMediaType } from './media-type.ts';
import { parseForm } from './parse-form.ts';
import { parseStrictJson, type Read } from './strict-json.ts';

/** The header fields about a body, each as its one value; null: absent. */
export interface BodyHead {
  readonly contentType: string | null;
  readonly contentEncoding: string | null;
}

/** Decides about the bodies of one rule. */
export interface BodyValidator {
  readonly maxBytes: number;
  /**
   * Null: the body may be forwarded, these very bytes. Else every violated field in a fixed order, 32 at most and then how many
   * more. Rules are asked only about bodies that the schema lets through. Never throws.
   * @param context the request, for the rules
   */
  validate(bytes: Uint8Array, head: BodyHead, context: ConditionContext): BodyRefusal | null;
}

/** A validator, or everything wrong with its configuration, by path into it. */
export type BodyResult =
  | { readonly ok: true; readonly value: BodyValidator }
  | { readonly ok: false; readonly problems: readonly Problem[] };

interface BodyRule {
  readonly expression: CelExpression;
  readonly message: string;
}

const MAX_DEPTH = 64;
/** Of bodies that are parsed, which takes a thread some 100 ms a mebibyte at worst, and of those that are not. */
const MAX_BYTES = { parsed: 2 ** 20, opaque: 2 ** 24 };
const MAX_RULES = 16;
const MAX_LISTED = 32;
const MAX_POINTER = 256;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Compiles what a rule demands of bodies: schema with ajv, patterns with RE2, rules with CEL. Never throws. */
export function compileBody(config: BodyConfig): BodyResult {
  const problems: Problem[] = [];
  const refuse = (path: Path, message: string): void => void problems.push({ path, message });
  const { maxBytes, contentTypes, rules } = config;
  const most = contentTypes.every((type) => formatOf(type) === 'opaque') ? MAX_BYTES.opaque : MAX_BYTES.parsed;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 1 || maxBytes > most) {
    refuse(['maxBytes'], `write a size from 1 to ${most} bytes (${most / 2 ** 20}Mi)`);
  }
  checkContentTypes(config, refuse);
  const schema = config.schema === null ? null : compileSchema(config.schema, ['schema'], MAX_DEPTH);
  if (schema?.ok === false) problems.push(...schema.problems);
  if (rules.length > MAX_RULES) refuse(['rules'], `write at most ${MAX_RULES} rules; several can be one, joined by &&`);
  const compiled = rules.slice(0, MAX_RULES).flatMap(({ rule, message }, at): BodyRule[] => {
    const result = compileCel(rule, 'body');
    if (result.ok) return [{ expression: result.value, message }];
    refuse(['rules', at, 'rule'], `${result.message} (at character ${result.position + 1} of the expression)`);
    return [];
  });
  if (schema?.ok === false || problems.length > 0) return { ok: false, problems };
  const formats = new Map(contentTypes.map((type) => [type, formatOf(type)]));
  return { ok: true, value: new CompiledBody(maxBytes, formats, schema?.value ?? null, compiled) };
}

function checkContentTypes(config: BodyConfig, refuse: (path: Path, message: string) => void): void {
  if (config.contentTypes.length === 0) refuse(['contentTypes'], 'write at least one, such as application/json');
  for (const [at, type] of config.contentTypes.entries()) {
    const parsed = parseMediaType(type);
    if (parsed?.type !== type || type.includes('*')) {
      refuse(['contentTypes', at], 'write one media type in lower case without parameters, such as application/json');
    } else if (formatOf(type) === 'opaque' && (config.schema !== null || config.rules.length > 0)) {
      const remedy = 'leave out schema and rules, or give this type a rule of its own';
      refuse(['contentTypes', at], `only JSON and application/x-www-form-urlencoded can be checked; ${remedy}`);
    }
  }
}

class CompiledBody implements BodyValidator {
  readonly maxBytes: number;
  readonly #formats: ReadonlyMap<string, BodyFormat>;
  readonly #schema: BodySchema | null;
  readonly #rules: readonly BodyRule[];

  constructor(
    maxBytes: number,
    formats: ReadonlyMap<string, BodyFormat>,
    schema: BodySchema | null,
    rules: readonly BodyRule[],
  ) {
    this.maxBytes = maxBytes;
    this.#formats = formats;
    this.#schema = schema;
    this.#rules = rules;
  }

  validate(bytes: Uint8Array, head: BodyHead, context: ConditionContext): BodyRefusal | null {
    if (bytes.length > this.maxBytes) return refusal('body_too_large', `is larger than ${this.maxBytes} bytes`);
    if (bytes.length === 0) {
      return this.#schema === null && this.#rules.length === 0 ? null : refusal('body_invalid', 'a body is required');
    }
    const encoding = head.contentEncoding?.trim().toLowerCase() ?? 'identity';
    if (encoding !== 'identity')
      return refusal('unsupported_media_type', 'Content-Encoding must be identity, or left out');
    const format = this.#formatOf(head.contentType);
    if (typeof format !== 'string') return format;
    if (format === 'opaque') return null;
    const read = parse(bytes, format);
    const violations = read.ok ? this.#violations(read.value, context) : [read];
    return violations.length === 0 ? null : { code: 'body_invalid', violations: listed(violations) };
  }

  #formatOf(contentType: string | null): BodyFormat | BodyRefusal {
    const media = contentType === null ? null : parseMediaType(contentType.trim());
    const format = media === null ? undefined : this.#formats.get(media.type);
    if (media === null || format === undefined) {
      return refusal('unsupported_media_type', `Content-Type must be ${[...this.#formats.keys()].join(' or ')}`);
    }
    const foreign = media.parameters.some(([name, value]) => name !== 'charset' || value.toLowerCase() !== 'utf-8');
    if (format === 'opaque' || (!foreign && media.parameters.length <= 1)) return format;
    return refusal('unsupported_media_type', 'Content-Type may have charset=utf-8 and no other parameter');
  }

  #violations(body: unknown, context: ConditionContext): readonly Violation[] {
    if (this.#schema !== null) {
      const violations = this.#schema.validate(body);
      if (violations.length > 0) return violations;
    }
    if (this.#rules.length === 0) return [];
    // CEL takes an object's own `constructor` for its type, and errs or not by the order of members.
    if (hasMember(body, (name) => name === 'constructor')) {
      return [
        { pointer: '', message: 'holds a member named constructor, which rules cannot be asked about; rename it' },
      ];
    }
    const request = context.withBody(body);
    return this.#rules.flatMap(({ expression, message }) => {
      try {
        return expression.evaluate(request) ? [] : [{ pointer: '', message }];
      } catch {
        return [{ pointer: '', message: `${message} (the rule has no answer for this body)` }];
      }
    });
  }
}

function parse(bytes: Uint8Array, format: 'json' | 'form'): Read {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return { ok: false, pointer: '', message: 'is not valid UTF-8' };
  }
  return format === 'json' ? parseStrictJson(text, MAX_DEPTH) : parseForm(text);
}

function refusal(code: BodyRefusal['code'], message: string): BodyRefusal {
  return { code, violations: [{ pointer: '', message }] };
}

/** By pointer, so that the order of members says nothing; what stands at one pointer keeps its order. */
function listed(violations: readonly Violation[]): readonly Violation[] {
  const sorted = violations
    .map(({ pointer, message }) => ({ pointer: shortened(pointer), message }))
    .sort((a, b) => (a.pointer < b.pointer ? -1 : a.pointer > b.pointer ? 1 : 0));
  const more = sorted.length - MAX_LISTED;
  return more > 0 ? [...sorted.slice(0, MAX_LISTED), { pointer: '', message: `and ${more} more` }] : sorted;
}

function shortened(pointer: string): string {
  return pointer.length <= MAX_POINTER ? pointer : `${pointer.slice(0, MAX_POINTER).toWellFormed()}…`;
}

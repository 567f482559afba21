import type { Field } from './field.ts';
import { didYouMean } from './nearest.ts';
import type { Path, Problem } from './problem.ts';

/** A value with the defaults of its field filled in. */
interface Checked {
  readonly value: unknown;
  /** Whether rules about a value that contains this one may run: nothing but unknown fields is wrong in it. */
  readonly sound: boolean;
  /** Whether it has the shape of its type, whatever else is wrong with it. */
  readonly typed: boolean;
}

/** More fields than that are for the reference to list. */
const MOST_LISTED = 12;

const ARTICLES = {
  object: 'an object',
  array: 'a list',
  string: 'a string',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
} as const;

/**
 * Checks `value` as kube-apiserver checks it against the field's part of the CRD, adds every problem to `problems`, and
 * returns a copy with defaults filled in. A null member counts as left out, as it does there.
 */
export function checkField(field: Field, value: unknown, path: Path, problems: Problem[]): Checked {
  const checked = checkShape(field, value, path, problems);
  let sound = checked.sound;
  for (const rule of checked.sound ? (field.rules ?? []) : []) {
    for (const place of rule.violations(checked.value)) {
      problems.push({ path: [...path, ...place], message: rule.message });
      sound = false;
    }
  }
  return { value: checked.value, sound, typed: checked.typed };
}

function checkShape(field: Field, given: unknown, path: Path, problems: Problem[]): Checked {
  const value = field['x-kubernetes-int-or-string'] && Number.isSafeInteger(given) ? String(given) : given;
  if (typeOf(value) !== field.type && !(field.type === 'number' && Number.isFinite(value))) {
    const advice = field.type === 'string' && typeof value !== 'object' ? `; ${asText(field, String(value))}` : '';
    problems.push({ path, message: `must be ${ARTICLES[field.type]}, not ${describe(value)}${advice}` });
    return { value, sound: false, typed: false };
  }
  if (field['x-kubernetes-preserve-unknown-fields']) return { value, sound: true, typed: true };
  if (isObject(value))
    return field.properties ? checkObject(field, value, path, problems) : checkMap(field, value, path, problems);
  if (Array.isArray(value)) return checkList(field, value, path, problems);
  const message = typeof value === 'string' ? textProblem(field, value) : numberProblem(field, value);
  if (message !== undefined) problems.push({ path, message });
  return { value, sound: message === undefined, typed: true };
}

/** What to write instead of a number or a boolean where a text belongs: itself in quotes only where that would do. */
function asText(field: Field, text: string): string {
  const broken = field.rules?.find((rule) => rule.violations(text).length > 0);
  return textProblem(field, text) ?? broken?.message ?? `put it in quotes: "${text}"`;
}

function checkObject(field: Field, value: Readonly<Record<string, unknown>>, path: Path, problems: Problem[]): Checked {
  const properties = field.properties ?? {};
  const filled: Record<string, unknown> = {};
  let sound = true;
  let typed = true;
  for (const name of Object.keys(value)) {
    if (Object.hasOwn(properties, name)) continue;
    const known = Object.keys(properties);
    const advice = didYouMean(name, known) || (known.length <= MOST_LISTED ? `; there are ${known.join(', ')}` : '');
    problems.push({ path: [...path, name], message: `unknown field${advice}` });
  }
  for (const [name, property] of Object.entries(properties)) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    const member = given ?? structuredClone(property.default);
    if (member === undefined) {
      if (!field.required?.includes(name)) continue;
      problems.push({ path: [...path, name], message: `is required: ${property.description ?? name}` });
      sound = typed = false;
      continue;
    }
    const checked = checkField(property, member, [...path, name], problems);
    filled[name] = checked.value;
    sound &&= checked.sound;
    typed &&= checked.typed;
  }
  return { value: filled, sound, typed };
}

function checkMap(field: Field, value: Readonly<Record<string, unknown>>, path: Path, problems: Problem[]): Checked {
  const entries = Object.entries(value).filter(([, member]) => member !== null);
  let sound = true;
  let typed = true;
  const filled: [string, unknown][] = [];
  for (const [name, member] of entries) {
    const checked = checkField(field.additionalProperties!, member, [...path, name], problems);
    filled.push([name, checked.value]);
    sound &&= checked.sound;
    typed &&= checked.typed;
  }
  if (field.maxProperties !== undefined && entries.length > field.maxProperties) {
    problems.push({ path, message: `must have at most ${field.maxProperties} members, not ${entries.length}` });
    sound = false;
  }
  return { value: Object.fromEntries(filled), sound, typed };
}

function checkList(field: Field, value: readonly unknown[], path: Path, problems: Problem[]): Checked {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = field;
  if (value.length < minItems || value.length > maxItems) {
    const bound = value.length < minItems ? `at least ${minItems}` : `at most ${maxItems}`;
    problems.push({
      path,
      message: `must have ${bound} ${bound.endsWith(' 1') ? 'item' : 'items'}, not ${value.length}`,
    });
    return { value, sound: false, typed: false };
  }
  const checked = value.map((item, index) => checkField(field.items!, item, [...path, index], problems));
  const sound = checked.every((item) => item.sound) && !addDuplicates(field, value, path, problems);
  return { value: checked.map((item) => item.value), sound, typed: checked.every((item) => item.typed) };
}

/** Lists of type set and map hold an item once; true when one stands there twice. */
function addDuplicates(field: Field, items: readonly unknown[], path: Path, problems: Problem[]): boolean {
  const [key] = field['x-kubernetes-list-map-keys'] ?? [];
  if (field['x-kubernetes-list-type'] === 'atomic') return false;
  const first = new Map<unknown, number>();
  const before = problems.length;
  for (const [index, item] of items.entries()) {
    const identity = key !== undefined && isObject(item) ? item[key] : item;
    const earlier = first.get(identity);
    if (earlier === undefined) {
      first.set(identity, index);
      continue;
    }
    const place = key === undefined ? [...path, index] : [...path, index, key];
    problems.push({
      path: place,
      message: `${JSON.stringify(identity)} stands at [${earlier}] already; each may stand once`,
    });
  }
  return problems.length > before;
}

const DATE_TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

function textProblem(field: Field, value: string): string | undefined {
  if (field.enum !== undefined && !field.enum.includes(value)) {
    return `must be one of ${field.enum.join(', ')}, not ${JSON.stringify(value)}${didYouMean(value, field.enum)}`;
  }
  const length = value.length > (field.maxLength ?? 0) ? [...value].length : value.length;
  if (length < (field.minLength ?? 0)) return 'must not be empty';
  if (length > (field.maxLength ?? Number.POSITIVE_INFINITY))
    return `must have at most ${field.maxLength} characters, not ${length}`;
  if (field.format === 'date-time' && !(DATE_TIME.test(value) && Number.isFinite(Date.parse(value)))) {
    return 'write an instant such as 2026-01-31T00:00:00Z (RFC 3339)';
  }
  return undefined;
}

function numberProblem(field: Field, value: unknown): string | undefined {
  const { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY } = field;
  if (typeof value !== 'number' || (value >= minimum && value <= maximum)) return undefined;
  return `must be from ${minimum} to ${maximum}, not ${value}`;
}

function typeOf(value: unknown): Field['type'] | undefined {
  if (typeof value === 'string' || typeof value === 'boolean') return typeof value as 'string' | 'boolean';
  if (Number.isSafeInteger(value)) return 'integer';
  if (Array.isArray(value)) return 'array';
  return isObject(value) ? 'object' : undefined;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : JSON.stringify(value);
}

/** Whether `value` is an object with members: not null, not a list. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

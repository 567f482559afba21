import { type ErrorCode, PortcullisError } from '../errors.ts';

/** A value that is not what was wanted; says where and what, and never the value, which may be a key. */
export class Mismatch extends Error {}

/** Checks an untrusted JSON value and returns it as `T`; throws Mismatch naming the place. */
export type Check<T> = (value: unknown, place: string) => T;

/** Throws the Mismatch of a place. */
export function refuse(place: string, wanted: string): never {
  throw new Mismatch(`${place || 'document'}: must be ${wanted}`);
}

/** What `check` makes of a whole document; throws PortcullisError of that code. */
export function checked<T>(check: Check<T>, document: unknown, code: ErrorCode): T {
  try {
    return check(document, '');
  } catch (error) {
    throw error instanceof Mismatch ? new PortcullisError(code, error.message) : error;
  }
}

/** Any string of at most 64 Ki characters. */
export const text: Check<string> = (value, place) => {
  if (typeof value !== 'string' || value.length > 65_536) refuse(place, 'a string');
  return value;
};

/** A string that is not empty. */
export const name: Check<string> = (value, place) => {
  const string = text(value, place);
  if (string === '') refuse(place, 'a string that is not empty');
  return string;
};

/** true or false. */
export const flag: Check<boolean> = (value, place) => {
  if (typeof value !== 'boolean') refuse(place, 'true or false');
  return value;
};

/** Exactly true. */
export const yes: Check<true> = (value, place) => {
  if (value !== true) refuse(place, 'true');
  return value;
};

/** A whole number from `minimum` to 2^53 - 1. */
export function count(minimum: number): Check<number> {
  return (value, place) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < minimum) {
      refuse(place, `a whole number of at least ${minimum}`);
    }
    return value;
  };
}

/** One of the given strings. */
export function oneOf<T extends string>(...allowed: readonly T[]): Check<T> {
  return (value, place) => {
    const found = allowed.find((candidate) => candidate === value);
    return found ?? refuse(place, `one of ${allowed.join(', ')}`);
  };
}

/** null, or what `check` accepts. */
export function nullable<T>(check: Check<T>): Check<T | null> {
  return (value, place) => (value === null ? null : check(value, place));
}

/** A list whose every entry passes `check`. */
export function list<T>(check: Check<T>): Check<readonly T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) refuse(place, 'a list');
    return value.map((entry: unknown, index) => check(entry, `${place}[${index}]`));
  };
}

/** A list with at least one entry. */
export function someOf<T>(check: Check<T>): Check<readonly T[]> {
  const entries = list(check);
  return (value, place) => {
    const found = entries(value, place);
    if (found.length === 0) refuse(place, 'a list that is not empty');
    return found;
  };
}

/** An object with any member names, whose every value passes `check`. */
export function record<T>(check: Check<T>): Check<Readonly<Record<string, T>>> {
  return (value, place) => {
    const entries = Object.entries(plainObject(value, place));
    return Object.fromEntries(entries.map(([key, member]) => [key, check(member, `${place}.${key}`)]));
  };
}

/** The members of `T`, each with its check; a member whose type allows `undefined` may be absent. */
export type Shape<T> = { readonly [K in keyof T]-?: Check<Exclude<T[K], undefined>> };

/** An object with exactly the members of `shape`, of which only those in `optional` may be absent. */
export function object<T extends object>(shape: Shape<T>, optional: readonly (keyof T & string)[] = []): Check<T> {
  const members = Object.entries<Check<unknown>>(shape);
  const known = new Set(members.map(([key]) => key));
  const mayBeAbsent = new Set<string>(optional);
  return (value, place) => {
    const source = plainObject(value, place);
    const dot = place === '' ? '' : `${place}.`;
    // A member this version does not know may be a protection it would not enforce.
    for (const key of Object.keys(source)) {
      if (!known.has(key)) refuse(`${dot}${key}`, 'absent: this version does not know it');
    }
    const checked: Record<string, unknown> = {};
    for (const [key, check] of members) {
      if (Object.hasOwn(source, key)) checked[key] = check(source[key], `${dot}${key}`);
      else if (!mayBeAbsent.has(key)) refuse(`${dot}${key}`, 'present');
    }
    return checked as T;
  };
}

function plainObject(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(place, 'an object');
  return value as Readonly<Record<string, unknown>>;
}

import { PortcullisError } from '../errors.ts';

/** Reads a member of a document that must be exactly as we wrote it. Throws `keyring_invalid`, naming the path. */
export type Read<T> = (value: unknown, path: string) => T;

/** Says what is wrong at `path`; never the value, which may be a key. */
export function invalid(path: string, expected: string): PortcullisError {
  return new PortcullisError('keyring_invalid', `${path} must be ${expected}`);
}

/** The value of a JSON text. The parser's own message is left out: it quotes the text, which holds private keys. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new PortcullisError('keyring_invalid', 'document must be JSON; it is damaged or cut short');
  }
}

/** A string that is not empty. */
export const string: Read<string> = (value, path) => {
  if (typeof value !== 'string' || value === '') throw invalid(path, 'a non-empty string');
  return value;
};

/** A whole number from 0. */
export const count: Read<number> = (value, path) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw invalid(path, 'a whole number from 0');
  return value as number;
};

/** true or false. */
export const boolean: Read<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw invalid(path, 'true or false');
  return value;
};

/** What `read` reads, or null. */
export function nullable<T>(read: Read<T>): Read<T | null> {
  return (value, path) => (value === null ? null : read(value, path));
}

/** A list of what `read` reads. */
export function list<T>(read: Read<T>): Read<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw invalid(path, 'a list');
    return value.map((item, index) => read(item, `${path}[${index}]`));
  };
}

/** One of a closed list of words. */
export function word<const Word extends string>(words: readonly Word[]): Read<Word> {
  return (value, path) => {
    const found = words.find((candidate) => candidate === value);
    if (found === undefined) throw invalid(path, `one of ${words.join(', ')}`);
    return found;
  };
}

/** An object of strings under any names. */
export const strings: Read<Readonly<Record<string, string>>> = (value, path) => {
  const members = object(value, path);
  for (const [name, member] of Object.entries(members)) string(member, `${path}.${name}`);
  return members as Readonly<Record<string, string>>;
};

/** An object with exactly the members that `reads` names, in its order. */
export function record<T extends object>(reads: { readonly [Name in keyof T]: Read<T[Name]> }): Read<T> {
  return (value, path) => {
    const members = object(value, path);
    for (const name of Object.keys(members)) {
      if (!Object.hasOwn(reads, name)) throw invalid(path, `without the unknown member ${JSON.stringify(name)}`);
    }
    const result: Partial<T> = {};
    for (const name of Object.keys(reads) as (keyof T & string)[]) {
      result[name] = reads[name](members[name], path === '' ? name : `${path}.${name}`);
    }
    return result as T;
  };
}

/** An object of anything. */
export function object(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(path === '' ? 'document' : path, 'an object');
  return value as Readonly<Record<string, unknown>>;
}

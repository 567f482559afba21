import { isDeepStrictEqual } from 'node:util';

/** One operation of a JSON patch (RFC 6902). */
export type PatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** The JSON patch that makes `after` of `before`; members that are undefined count as absent. An array that grows is replaced whole. */
export function jsonPatch(before: object, after: object, path = ''): PatchOperation[] {
  const old = before as Record<string, unknown>;
  const next = after as Record<string, unknown>;
  const members = new Set([...Object.keys(old), ...Object.keys(next)]);
  return [...members].flatMap((member): PatchOperation[] => {
    const [from, to] = [old[member], next[member]];
    const at = `${path}/${member.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (isDeepStrictEqual(from, to)) return [];
    if (from === undefined) return [{ op: 'add', path: at, value: to }];
    if (to === undefined) return [{ op: 'remove', path: at }];
    return areAlike(from, to) ? jsonPatch(from as object, to as object, at) : [{ op: 'replace', path: at, value: to }];
  });
}

function areAlike(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && a.length === b.length;
  return true;
}

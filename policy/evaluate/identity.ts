import type { IdentityPointers } from '../bundle/types.ts';
import type { AccessEvaluator, Identity } from './access-evaluator.ts';
import { type NameSpace, permissionsOf } from './permission-set.ts';

type Claims = Readonly<Record<string, unknown>>;

/**
 * Builds a reader of claims. Each field takes the first pointer (RFC 6901) that finds something usable: a string that is
 * not empty, or an integer JavaScript holds exactly, as its decimal string. For roles also a list, whose usable elements
 * count and which ends the search even when it has none; a string is one role, blanks included. Everything else is
 * passed over as if it were absent.
 */
export function identityReader(
  pointers: IdentityPointers,
  names: NameSpace,
): (claims: Claims, evaluator: AccessEvaluator) => Identity {
  const user = pointers.user.map(parsePointer);
  const roles = pointers.roles.map(parsePointer);
  const tenant = pointers.tenant.map(parsePointer);
  const tier = pointers.tier.map(parsePointer);
  return (claims, evaluator) => {
    const held = rolesAt(claims, roles);
    return {
      user: textAt(claims, user),
      roles: held,
      tenant: textAt(claims, tenant),
      tierClaim: textAt(claims, tier),
      permissions: permissionsOf(held, names),
      claims,
      evaluator,
    };
  };
}

type Pointer = readonly string[];

function parsePointer(text: string): Pointer {
  return text
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value a pointer finds among own members; `undefined` when there is none. */
function valueAt(claims: Claims, pointer: Pointer): unknown {
  let value: unknown = claims;
  for (const token of pointer) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value) && !/^(0|[1-9][0-9]*)$/.test(token)) return undefined;
    if (!Object.hasOwn(value, token)) return undefined;
    value = (value as Record<string, unknown>)[token];
  }
  return value;
}

function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value === '' ? null : value;
  // Beyond 2^53 two users could round to one number.
  return Number.isSafeInteger(value) ? String(value) : null;
}

function textAt(claims: Claims, pointers: readonly Pointer[]): string | null {
  for (const pointer of pointers) {
    const text = textOf(valueAt(claims, pointer));
    if (text !== null) return text;
  }
  return null;
}

function rolesAt(claims: Claims, pointers: readonly Pointer[]): readonly string[] {
  for (const pointer of pointers) {
    const value = valueAt(claims, pointer);
    if (Array.isArray(value)) return value.map(textOf).filter((role) => role !== null);
    const role = textOf(value);
    if (role !== null) return [role];
  }
  return [];
}

import type { AccessBundle } from '../bundle/types.ts';

/** Roles and permissions as bits, numbered by one NameSpace. Bit n is bit n % 32 of word n / 32. */
export type BitSet = Uint32Array;

/** What an identity may do. */
export interface PermissionSet {
  readonly roles: BitSet;
  readonly permissions: BitSet;
}

/** The numbering of one policy's roles and permissions, and what each declared role grants. */
export interface NameSpace {
  readonly roleBits: ReadonlyMap<string, number>;
  readonly permissionBits: ReadonlyMap<string, number>;
  /** By role name; every bit for a role with `*`. */
  readonly grants: ReadonlyMap<string, BitSet>;
}

/** Numbers every role and permission that the policy declares or that a rule asks for. */
export function nameSpaceOf(bundle: Pick<AccessBundle, 'roles' | 'rules'>): NameSpace {
  const entries = bundle.rules.flatMap((rule) => rule.allow);
  const roleBits = numbered([
    ...bundle.roles.map((role) => role.name),
    ...entries.flatMap((entry) => entry.roles ?? []),
  ]);
  const permissionBits = numbered([
    ...bundle.roles.flatMap((role) => role.permissions),
    ...entries.flatMap((entry) => entry.permissions ?? []),
  ]);
  const grants = new Map<string, BitSet>();
  for (const role of bundle.roles) {
    const all = role.permissions.includes('*');
    grants.set(
      role.name,
      all ? bitSet(permissionBits.size).fill(0xffffffff) : bitsOf(role.permissions, permissionBits),
    );
  }
  return { roleBits, permissionBits, grants };
}

/** The set of `names` in the numbering; names that are not in it add nothing. */
export function bitsOf(names: readonly string[], numbering: ReadonlyMap<string, number>): BitSet {
  const bits = bitSet(numbering.size);
  for (const name of names) {
    const bit = numbering.get(name);
    if (bit !== undefined) bits[bit >>> 5]! |= 1 << (bit & 31);
  }
  return bits;
}

/** The permissions of an identity with these roles: the union of what each grants. */
export function permissionsOf(roles: readonly string[], names: NameSpace): PermissionSet {
  const permissions = bitSet(names.permissionBits.size);
  for (const role of roles) {
    const grant = names.grants.get(role);
    if (grant !== undefined) for (let word = 0; word < grant.length; word++) permissions[word]! |= grant[word]!;
  }
  return { roles: bitsOf(roles, names.roleBits), permissions };
}

/** Whether every bit of `required` is in `held`, both of one numbering. */
export function holdsAll(held: BitSet, required: BitSet): boolean {
  for (let word = 0; word < required.length; word++) if ((required[word]! & ~held[word]!) !== 0) return false;
  return true;
}

/** Whether some bit of `wanted` is in `held`, both of one numbering. */
export function holdsAny(held: BitSet, wanted: BitSet): boolean {
  for (let word = 0; word < wanted.length; word++) if ((wanted[word]! & held[word]!) !== 0) return true;
  return false;
}

function bitSet(size: number): BitSet {
  return new Uint32Array(Math.ceil(size / 32));
}

function numbered(names: readonly string[]): ReadonlyMap<string, number> {
  return new Map([...new Set(names)].map((name, index) => [name, index]));
}

import type { AccessPolicy } from '../api/access-policy.ts';
import type { RoleGrant } from '../bundle/types.ts';
import type { Findings } from './finding.ts';
import { unknownWord } from './suggest.ts';

type Role = AccessPolicy['spec']['roles'][number];

/** The roles of a policy with inheritance worked out. */
export interface CompiledRoles {
  readonly grants: readonly RoleGrant[];
  /** Every permission that some role lists by name. */
  readonly permissions: readonly string[];
  /** By role: itself and every role that inherits from it, near or far. Whoever holds one of those counts as the role. */
  readonly heldBy: ReadonlyMap<string, readonly string[]>;
}

/** Expands inheritance; reports roles that inherit themselves or a role that does not exist. */
export function compileRoles(roles: readonly Role[], findings: Findings): CompiledRoles {
  const byName = new Map(roles.map((role) => [role.name, role]));
  for (const [index, role] of roles.entries()) {
    for (const [place, parent] of role.inherits.entries()) {
      const path = ['spec', 'roles', index, 'inherits', place];
      const cycle = byName.has(parent) ? wayBack(role.name, parent, byName) : null;
      if (cycle !== null) {
        findings.error(path, `role "${role.name}" inherits itself (${cycle.join(' -> ')}); remove one of these`);
      } else if (!byName.has(parent)) {
        const others = roles.filter((other) => other !== role).map((other) => other.name);
        findings.error(path, `unknown role ${unknownWord(parent, others, 'other roles')}`);
      }
    }
  }
  const inherited = new Map(roles.map((role) => [role.name, ancestors(role, byName)]));
  const grants = roles.map((role) => ({
    name: role.name,
    permissions: [...new Set([...inherited.get(role.name)!].flatMap((name) => byName.get(name)?.permissions ?? []))],
  }));
  const named = roles.flatMap((role) => role.permissions).filter((permission) => permission !== '*');
  const heldBy = new Map(
    roles.map(({ name }) => [
      name,
      roles.filter((role) => inherited.get(role.name)!.has(name)).map((role) => role.name),
    ]),
  );
  return { grants, permissions: [...new Set(named)], heldBy };
}

/** The role itself first, then all it inherits. */
function ancestors(role: Role, byName: ReadonlyMap<string, Role>): ReadonlySet<string> {
  const found = new Set([role.name]);
  for (const name of found) for (const parent of byName.get(name)?.inherits ?? []) found.add(parent);
  return found;
}

/** The names from `role` over `parent` back to `role`, or null when there is no such way. */
function wayBack(role: string, parent: string, byName: ReadonlyMap<string, Role>): string[] | null {
  const cameFrom = new Map<string, string>([[parent, role]]);
  for (const name of cameFrom.keys()) {
    if (name === role) break;
    for (const next of byName.get(name)?.inherits ?? []) if (!cameFrom.has(next)) cameFrom.set(next, name);
  }
  if (!cameFrom.has(role)) return null;
  const way = [role];
  for (let name = cameFrom.get(role)!; name !== role; name = cameFrom.get(name)!) way.unshift(name);
  return [role, ...way];
}

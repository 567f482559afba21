import type { GeneratedRule } from './group-rules.ts';
import { isRead } from './operation-access.ts';
import type { Report } from './report.ts';

const MAX_PERMISSIONS = 64;
/** What a role may inherit, and with both kinds and ours within the 32 roles of a policy. */
const MAX_PARTS = 14;

/** A role as `spec.roles` has it. */
export interface StarterRole {
  readonly name: string;
  readonly inherits?: readonly string[];
  readonly permissions?: readonly string[];
}

/**
 * Roles to start with, which cover every permission: `reader` has those that only reading needs, `writer` all others besides,
 * `admin` every one. Parts of more than 64 permissions are roles of their own. None where no rule asks for a permission.
 */
export function starterRoles(rules: readonly GeneratedRule[], report: Report): readonly StarterRole[] {
  const [reads, writes] = [new Set<string>(), new Set<string>()];
  for (const { allow, methods } of rules) {
    for (const entry of allow) {
      if (!('permissions' in entry)) continue;
      for (const permission of entry.permissions) (methods.every(isRead) ? reads : writes).add(permission);
    }
  }
  if (reads.size + writes.size === 0) return [];
  const reader = roleParts(
    'reader',
    [...reads].filter((permission) => !writes.has(permission)),
    [],
    report,
  );
  const writer = roleParts('writer', [...writes], ['reader'], report);
  return [...reader, ...writer, { name: 'admin', inherits: ['writer'], permissions: ['*'] }];
}

function roleParts(
  name: string,
  permissions: readonly string[],
  inherits: readonly string[],
  report: Report,
): readonly StarterRole[] {
  const count = Math.ceil(permissions.length / MAX_PERMISSIONS);
  if (count <= 1) {
    return [{ name, ...(inherits.length > 0 && { inherits }), ...(permissions.length > 0 && { permissions }) }];
  }
  if (count > MAX_PARTS) {
    const most = MAX_PARTS * MAX_PERMISSIONS;
    report.error(
      null,
      `${permissions.length} permissions are more than the ${most} that role ${name} can hold; use --permissions tags`,
    );
    return [];
  }
  report.note(
    null,
    `role ${name} has ${permissions.length} permissions, more than ${MAX_PERMISSIONS}: it inherits ${count} parts`,
  );
  const parts = Array.from({ length: count }, (_, part) => ({
    name: `${name}-${part + 1}`,
    permissions: permissions.slice(part * MAX_PERMISSIONS, (part + 1) * MAX_PERMISSIONS),
  }));
  return [...parts, { name, inherits: [...inherits, ...parts.map((part) => part.name)] }];
}

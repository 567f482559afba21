import type { IdentityPointers } from '../../policy/bundle/types.ts';
import type { Identity } from '../../policy/evaluate/access-evaluator.ts';

type Claims = Readonly<Record<string, unknown>>;

/** Adds a user to claims: as `sub`, and where the policy's first pointer looks for it. */
export function withUser(claims: Claims, user: string, pointers: IdentityPointers): Claims {
  return placed({ ...claims, sub: user }, [[pointers.user[0], user]]);
}

/** The claims that say an identity: each part where the policy's first pointer looks for it, absent when there is none. */
export function claimsOf(
  { user, roles, tenant, tierClaim }: Pick<Identity, 'roles' | 'tenant' | 'tierClaim'> & { readonly user: string },
  pointers: IdentityPointers,
): Claims {
  const parts = placed({}, [
    [pointers.roles[0], roles.length === 0 ? null : roles],
    [pointers.tenant[0], tenant],
    [pointers.tier[0], tierClaim],
  ]);
  return withUser(parts, user, pointers);
}

function placed(claims: Claims, parts: readonly (readonly [pointer: string | undefined, value: unknown])[]): Claims {
  const root = bare(claims);
  for (const [pointer, value] of parts) {
    if (pointer === undefined || value === null) continue;
    const tokens = pointer.split('/').slice(1);
    const last = unescaped(tokens.pop() ?? '');
    let node = root;
    for (const token of tokens) {
      const name = unescaped(token);
      const inner = node[name];
      const next = bare(typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {});
      node[name] = next;
      node = next;
    }
    node[last] = value;
  }
  return { ...root };
}

/** A copy without a prototype: a pointer may say `__proto__`. */
function bare(value: object): Record<string, unknown> {
  return Object.assign(Object.create(null), value);
}

function unescaped(token: string): string {
  return token.replaceAll('~1', '/').replaceAll('~0', '~');
}

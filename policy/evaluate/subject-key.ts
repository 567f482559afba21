import type { LimitKey } from '../bundle/types.ts';
import type { Identity } from './access-evaluator.ts';

/**
 * The subject of a counter, to be appended to a counter's prefix. `user` without a user is the address, `tenant` without a
 * tenant is the user, else the address: never empty, and no two subjects share a key, whatever characters names hold.
 * @param address as `addressKey` returns it
 */
export function subjectKey(key: readonly LimitKey[], address: string, identity: Identity | null): string {
  if (key.length === 1) return part(key[0]!, address, identity);
  let result = '';
  for (const kind of key) {
    const subject = part(kind, address, identity);
    // Lengths keep apart ("a|b", "c") and ("a", "b|c").
    result += `${subject.length}:${subject}|`;
  }
  return result;
}

function part(kind: LimitKey, address: string, identity: Identity | null): string {
  if (identity !== null && kind !== 'ip') {
    if (kind === 'tenant' && identity.tenant !== null) return `tenant=${identity.tenant}`;
    if (identity.user !== null) return `user=${identity.user}`;
  }
  return `ip=${address}`;
}

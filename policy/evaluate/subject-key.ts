import type { LimitKey } from '../bundle/types.ts';
import type { Identity } from './access-evaluator.ts';

/**
 * Whom a request is counted under, to be appended to a counter's prefix: never empty, and no two subjects share one, whatever
 * characters names hold.
 * @param address as `addressKey` returns it
 * @param rule name of the access policy's rule, empty where none matches
 */
export type SubjectKey = (address: string, identity: Identity | null, tier: string, rule: string) => string;

/**
 * Compiles the key of a limit. `user` without a user is the address; `tenant` without a tenant and `claim:x` without that claim are as
 * `user`. A claim counts by its text: a text that is not empty, a boolean, or a number that JavaScript holds exactly.
 */
export function compileSubjectKey(key: readonly LimitKey[]): SubjectKey {
  const parts = key.map(compilePart);
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  return (address, identity, tier, rule) => {
    let result = '';
    for (const part of parts) {
      const subject = part(address, identity, tier, rule);
      // Lengths keep apart ("a|b", "c") and ("a", "b|c").
      result += `${subject.length}:${subject}|`;
    }
    return result;
  };
}

function compilePart(kind: LimitKey): SubjectKey {
  switch (kind) {
    case 'ip':
      return (address) => `ip=${address}`;
    case 'user':
      return byUser;
    case 'tenant':
      return (address, identity) =>
        identity !== null && identity.tenant !== null ? `tenant=${identity.tenant}` : byUser(address, identity);
    case 'tier':
      return (_address, _identity, tier) => `tier=${tier}`;
    case 'rule':
      return (_address, _identity, _tier, rule) => `rule=${rule}`;
    default: {
      const name = kind.slice('claim:'.length);
      return (address, identity) => {
        const text = identity === null ? null : claimText(identity.claims, name);
        return text === null ? byUser(address, identity) : `claim=${text}`;
      };
    }
  }
}

function byUser(address: string, identity: Identity | null): string {
  return identity !== null && identity.user !== null ? `user=${identity.user}` : `ip=${address}`;
}

function claimText(claims: Identity['claims'], name: string): string | null {
  if (!Object.hasOwn(claims, name)) return null;
  const value = claims[name];
  if (typeof value === 'string') return value === '' ? null : value;
  if (typeof value === 'boolean') return String(value);
  // Beyond 2^53 two desks could round to one number.
  return typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : null;
}

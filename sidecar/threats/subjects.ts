import type { LimitKey } from '../../policy/bundle/types.ts';
import { compileSubjectKey } from '../../policy/evaluate/subject-key.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { subjectId } from '../stores/blocks.ts';

/** Whom measures are taken against for a request, as `subjectId` gives it. */
export type SubjectOf = (exchange: Exchange) => string;

/** Parts of a key that many clients have in common. */
const SHARED: readonly LimitKey[] = ['tier', 'rule'];

/** The address, whoever sends from it. */
export const byAddress: SubjectOf = ({ addressKey }) => subjectId('ip', addressKey);

/** The parts of a key that tell one client from another. */
export function ownParts(key: readonly LimitKey[]): readonly LimitKey[] {
  return key.filter((part) => !SHARED.includes(part));
}

/**
 * Whom a limit with this key counts, tier and rule left out; null where that leaves nobody: one would be punished for all. Without a
 * user it is `anonymous=ADDRESS`: those who send from there with a token are others.
 */
export function subjectOf(key: readonly LimitKey[]): SubjectOf | null {
  const own = ownParts(key);
  const [only] = own;
  if (only === undefined) return null;
  if (own.length === 1 && only === 'ip') return byAddress;
  const text = compileSubjectKey(own);
  const kind = own.length > 1 || only.startsWith('claim:') ? own.join(',') : null;
  return ({ addressKey, identity }) => {
    const counted = text(addressKey, identity, '', '');
    if (kind !== null) return subjectId(kind, counted);
    if (counted.startsWith('ip=')) return subjectId('anonymous', addressKey);
    const equals = counted.indexOf('=');
    return subjectId(counted.slice(0, equals), counted.slice(equals + 1));
  };
}

/** Log-ins under a name, which may be written in several ways for one account. */
export function loginSubject(user: string): string {
  return subjectId('login', user.normalize('NFKC').trim().toLowerCase());
}

import { isSymmetric } from '../algorithms.ts';
import type { Key, RetiredKey } from '../keyring.ts';
import type { Check, Step, WaitReason } from '../step.ts';

/** The private half of a retired key has no use once its successor's outputs have reached every pod. */
export const privateHalfUnused: Check = {
  name: 'private-half-unused',
  decide({ keyring, now }) {
    return firstReached(
      keyring.keys.filter((key) => key.privateMembers !== null && !isSymmetric(key.algorithm)),
      (key) => key.graces.propagationMs,
      now,
      'ErasePrivateHalf',
      'PrivateHalfInUse',
    );
  },
};

/**
 * A retired key goes when no token that it signed can be alive anywhere: T + P + S after its successor was seen written. A
 * key whose tokens never expire (Fernet without T) never goes by itself.
 */
export const graceOver: Check = {
  name: 'grace-over',
  decide({ keyring, now }) {
    return firstReached(
      keyring.keys,
      ({ graces: { maxTokenLifetimeMs, propagationMs, clockSkewMs } }) =>
        maxTokenLifetimeMs === null ? Number.POSITIVE_INFINITY : maxTokenLifetimeMs + propagationMs + clockSkewMs,
      now,
      'Drop',
      'TokensAlive',
    );
  },
};

function firstReached(
  keys: readonly Key[],
  graceMs: (key: RetiredKey) => number,
  now: number,
  kind: 'ErasePrivateHalf' | 'Drop',
  reason: WaitReason,
): Step | null {
  let first: { readonly kid: string; readonly at: number } | undefined;
  for (const key of keys) {
    if (key.phase !== 'Retired' || key.retireConfirmedAt === null) continue;
    const at = key.retireConfirmedAt + graceMs(key);
    if (first === undefined || at < first.at) first = { kid: key.kid, at };
  }
  if (first === undefined || first.at === Number.POSITIVE_INFINITY) return null;
  return now >= first.at
    ? { kind, kid: first.kid }
    : { kind: 'Wait', until: first.at, reasons: [reason], laggards: [] };
}

import { activeKey } from '../keyring.ts';
import { maturesAt, nextKey } from '../next-key.ts';
import type { Check, Situation, Successor } from '../step.ts';

/** A kid newly in spec.revocations: tombstone it, and let a matured standby or else a new key take over at once. */
export const revocation: Check = {
  name: 'revocation',
  decide(situation) {
    const { spec, keyring } = situation;
    const revoked = spec.revocations.find(({ kid }) => !keyring.tombstones.some((tombstone) => tombstone.kid === kid));
    if (revoked === undefined) return null;
    const successor = activeKey(keyring).kid === revoked.kid ? successorOf(situation) : null;
    return { kind: 'Revoke', kid: revoked.kid, reason: revoked.reason, successor };
  },
};

function successorOf({ spec, keyring, now }: Situation): Successor {
  const next = nextKey(spec, keyring);
  if (next !== undefined && now >= maturesAt(spec, next)) return { kind: 'Standby', kid: next.kid };
  return { kind: 'NewKey', algorithm: spec.algorithm };
}

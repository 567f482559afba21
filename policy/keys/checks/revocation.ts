import { activeKey } from '../keyring.ts';
import { nextKey } from '../next-key.ts';
import { reachMs } from '../spec.ts';
import type { Check, Situation, Successor } from '../step.ts';

/** A kid newly in spec.revocations: tombstone it, and let a standby that verifiers know or else a new key take over at once. */
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

/** prePublish is not waited for: a standby that has been published for P + C + S is refused nowhere, a new key everywhere. */
function successorOf({ spec, keyring, now }: Situation): Successor {
  const next = nextKey(spec, keyring);
  const usable =
    next !== undefined &&
    next.publishedAt !== null &&
    now >= next.publishedAt + reachMs(spec) &&
    !spec.revocations.some(({ kid }) => kid === next.kid);
  return usable ? { kind: 'Standby', kid: next.kid } : { kind: 'NewKey', algorithm: spec.algorithm };
}

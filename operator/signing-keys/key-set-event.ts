import { isJwt } from '../../policy/keys/algorithms.ts';
import { activeKey, type Keyring } from '../../policy/keys/keyring.ts';
import type { Erase, KeyringStep } from '../../policy/keys/step.ts';

/** Something that happened to a key set, in the words of a Kubernetes Event. Never holds key material. */
export interface KeySetEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason:
    | 'Prepared'
    | 'Published'
    | 'Activated'
    | 'ActivatedWithLaggards'
    | 'Retired'
    | 'Removed'
    | 'Revoked'
    | 'Forced'
    | 'RotateRequested'
    | 'Erased';
  readonly message: string;
}

/** What keys of a set do while they are active and after, and what they did. */
const SIGNING = { now: 'signs', later: 'verifies', before: 'signed' };
const ENCRYPTING = { now: 'encrypts', later: 'decrypts', before: 'encrypted' };

/** What a step that was carried out is worth telling: nothing of bookkeeping. `after` is null when the keyring is gone. */
export function eventsOf(
  step: KeyringStep | Erase,
  before: Keyring | null,
  after: Keyring | null,
): readonly KeySetEvent[] {
  const ring = after ?? before;
  const does = ring === null || isJwt(activeKey(ring).algorithm) ? SIGNING : ENCRYPTING;
  switch (step.kind) {
    case 'Create': {
      const made = newest(after);
      if (step.serial === 1) return [normal('Activated', `first key ${made} ${does.now}`)];
      return [
        warning(
          'Forced',
          `the loss of the keyring was accepted: first key ${made} ${does.now}, from serial ${step.serial}`,
        ),
      ];
    }
    case 'Revoke':
      return [warning('Revoked', `key ${step.kid} revoked: ${step.reason}`), ...successors(step, after, does)];
    case 'AcceptRotateRequest':
      return [normal('RotateRequested', `rotation requested by ${JSON.stringify(step.request)}`)];
    case 'Add':
      return [normal('Prepared', `key ${newest(after)} (${step.key.algorithm}) will be published and stands by`)];
    case 'Confirm':
      return (before?.keys ?? [])
        .filter(({ publishedAt }) => publishedAt === null)
        .map(({ kid }) => normal('Published', `key ${kid} published`));
    case 'Activate':
      return [
        step.laggards.length === 0
          ? normal('Activated', `key ${step.kid} ${does.now}`)
          : warning(
              'ActivatedWithLaggards',
              `key ${step.kid} ${does.now}, though these have not loaded it within ackTimeout: ${step.laggards.join(', ')}`,
            ),
        ...(before === null ? [] : [normal('Retired', `key ${activeKey(before).kid} retired; it ${does.later} on`)]),
      ];
    case 'DiscardStandby':
      return [normal('Removed', `standby key ${step.kid} removed: it is of an algorithm no longer asked for`)];
    case 'Drop':
      return [normal('Removed', `retired key ${step.kid} removed: nothing that it ${does.before} is alive`)];
    case 'Erase':
      return [warning('Erased', 'keyring and outputs deleted (deletionPolicy Delete); the escrow, if any, is kept')];
    case 'ExtendGraces':
    case 'ErasePrivateHalf':
      return [];
  }
}

function successors(
  { successor }: KeyringStep & { readonly kind: 'Revoke' },
  after: Keyring | null,
  does: typeof SIGNING,
): readonly KeySetEvent[] {
  if (successor === null || after === null) return [];
  const { kid } = activeKey(after);
  if (successor.kind === 'Standby') return [normal('Activated', `key ${kid} ${does.now} in its place`)];
  const message = `key ${kid} ${does.now} at once, before others have it: no standby key had been published for long enough`;
  return [warning('Forced', message)];
}

function newest(keyring: Keyring | null): string {
  return keyring?.keys.at(-1)?.kid ?? '?';
}

function normal(reason: KeySetEvent['reason'], message: string): KeySetEvent {
  return { type: 'Normal', reason, message };
}

function warning(reason: KeySetEvent['reason'], message: string): KeySetEvent {
  return { type: 'Warning', reason, message };
}

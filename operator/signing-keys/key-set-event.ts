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

/** What a step that was carried out is worth telling: nothing of bookkeeping. `after` is null when the keyring is gone. */
export function eventsOf(
  step: KeyringStep | Erase,
  before: Keyring | null,
  after: Keyring | null,
): readonly KeySetEvent[] {
  switch (step.kind) {
    case 'Create': {
      const made = newest(after);
      if (step.serial === 1) return [normal('Activated', `first key ${made} signs`)];
      return [
        warning('Forced', `the loss of the keyring was accepted: first key ${made} signs, from serial ${step.serial}`),
      ];
    }
    case 'Revoke':
      return [warning('Revoked', `key ${step.kid} revoked: ${step.reason}`), ...successors(step, after)];
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
          ? normal('Activated', `key ${step.kid} signs`)
          : warning(
              'ActivatedWithLaggards',
              `key ${step.kid} signs, though these have not loaded it within ackTimeout: ${step.laggards.join(', ')}`,
            ),
        ...(before === null ? [] : [normal('Retired', `key ${activeKey(before).kid} retired; it verifies on`)]),
      ];
    case 'DiscardStandby':
      return [normal('Removed', `standby key ${step.kid} removed: it is of an algorithm no longer asked for`)];
    case 'Drop':
      return [normal('Removed', `retired key ${step.kid} removed: nothing that it signed is alive`)];
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
): readonly KeySetEvent[] {
  if (successor === null || after === null) return [];
  const { kid } = activeKey(after);
  if (successor.kind === 'Standby') return [normal('Activated', `key ${kid} signs in its place`)];
  const message = `key ${kid} signs at once, before verifiers have it: no standby key had been published for long enough`;
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

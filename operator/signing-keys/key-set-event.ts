import type { KeyMaterial } from '../../policy/keys/keyring.ts';
import type { KeyringStep, WriteOutputs } from '../../policy/keys/step.ts';

/** Something that happened to a key set, in the words of a Kubernetes Event. Never holds key material. */
export interface KeySetEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason:
    | 'KeyringCreated'
    | 'KeyRevoked'
    | 'OutputsWritten'
    | 'OutputsConfirmed'
    | 'GracesExtended'
    | 'RotateRequested'
    | 'KeyAdded'
    | 'StandbyDiscarded'
    | 'KeyActivated'
    | 'ActivatedWithLaggards'
    | 'PrivateHalfErased'
    | 'KeyDropped';
  readonly message: string;
}

/** The event of a step that was carried out, with the key made for it if one was. */
export function eventOf(step: KeyringStep | WriteOutputs, made: KeyMaterial | null): KeySetEvent {
  switch (step.kind) {
    case 'Create':
      return normal('KeyringCreated', `first key ${made?.kid} signs`);
    case 'Revoke': {
      const successor = step.successor?.kind === 'Standby' ? step.successor.kid : made?.kid;
      const outcome = successor === undefined ? '' : `; ${successor} signs in its place`;
      return { type: 'Warning', reason: 'KeyRevoked', message: `key ${step.kid} revoked: ${step.reason}${outcome}` };
    }
    case 'WriteOutputs':
      return normal('OutputsWritten', `outputs of serial ${step.outputs.serial} written`);
    case 'Confirm':
      return normal('OutputsConfirmed', 'outputs seen written');
    case 'ExtendGraces':
      return normal('GracesExtended', 'the active key will be kept for the longer lifetime, propagation or skew');
    case 'AcceptRotateRequest':
      return normal('RotateRequested', `rotation requested by ${JSON.stringify(step.request)}`);
    case 'Add':
      return normal('KeyAdded', `key ${made?.kid} (${step.key.algorithm}) will be published and stands by`);
    case 'DiscardStandby':
      return normal('StandbyDiscarded', `key ${step.kid} is of an algorithm no longer asked for`);
    case 'Activate':
      if (step.laggards.length === 0) return normal('KeyActivated', `key ${step.kid} signs`);
      return {
        type: 'Warning',
        reason: 'ActivatedWithLaggards',
        message: `key ${step.kid} signs, though these have not loaded it within ackTimeout: ${step.laggards.join(', ')}`,
      };
    case 'ErasePrivateHalf':
      return normal('PrivateHalfErased', `private half of retired key ${step.kid} erased`);
    case 'Drop':
      return normal('KeyDropped', `retired key ${step.kid} dropped: no token it signed is alive`);
  }
}

function normal(reason: KeySetEvent['reason'], message: string): KeySetEvent {
  return { type: 'Normal', reason, message };
}

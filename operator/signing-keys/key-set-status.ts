import { listed } from '../../policy/compile/suggest.ts';
import { rotationAt } from '../../policy/keys/next-key.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';
import type { Acknowledgement } from '../../policy/keys/step.ts';
import type { SigningKeySetStatus } from '../resources.ts';
import { type Found, type FoundStatus, no, yes } from '../status/conditions.ts';
import type { ReconcileResult } from './reconcile-key-set.ts';

/** The status of a key set that was reconciled. `previous`: what it said before, part of which is to be remembered. */
export function keySetStatus(
  spec: KeySetSpec,
  { outputs, keyring, halt, events }: ReconcileResult,
  acknowledgements: readonly Acknowledgement[],
  previous: SigningKeySetStatus | undefined,
): FoundStatus<SigningKeySetStatus> {
  const serial = outputs?.serial ?? 0;
  const stale = acknowledgements.filter((pod) => pod.serial < serial).map(({ consumer }) => consumer);
  const matched = acknowledgements.length;
  // Says that there were keys, should all else be lost: without it, new ones would be made.
  const activeKey = outputs?.issuing.kid ?? previous?.activeKey;
  const nextRotation = keyring === null ? previous?.nextRotation : seconds(rotationAt(spec, keyring));
  return {
    conditions: [
      yes('Accepted', 'Accepted', ''),
      halt === null && outputs !== null
        ? yes(
            'Ready',
            'Written',
            `key ${outputs.issuing.kid} signs; ${keys(outputs.verificationKeys.length)} verify, serial ${serial}`,
          )
        : no('Ready', halt?.reason ?? 'NoKeys', halt?.message ?? 'there is no key yet'),
      enforced(serial, matched, stale),
      degraded(halt, events, stale, previous),
    ],
    pods: { matched, current: matched - stale.length, stale: stale.length },
    ...(activeKey !== undefined && { activeKey }),
    ...(nextRotation !== undefined && { nextRotation }),
  };
}

/** The status of a key set whose spec or Secrets cannot be used: `accepted` says which. What else was known stays known. */
export function unusableKeySetStatus(
  accepted: 'Accepted' | 'Invalid',
  reason: string,
  message: string,
  previous: SigningKeySetStatus | undefined,
): FoundStatus<SigningKeySetStatus> {
  const { conditions: _, observedGeneration: __, ...known } = previous ?? {};
  return {
    ...known,
    conditions: [
      accepted === 'Accepted' ? yes('Accepted', 'Accepted', '') : no('Accepted', reason, message),
      no('Ready', reason, message),
      { type: 'Enforced', status: 'Unknown', reason, message: 'not looked at: see Ready' },
      yes('Degraded', reason, message),
    ],
  };
}

function enforced(serial: number, matched: number, stale: readonly string[]): Found {
  if (serial === 0) return no('Enforced', 'NotReady', 'there is no key yet: see Ready');
  if (matched === 0) return no('Enforced', 'NoMatchingPods', 'no running pod verifies tokens with this key set');
  if (stale.length === 0) return yes('Enforced', 'Acknowledged', `all ${matched} pods have serial ${serial}`);
  const progress = `${matched - stale.length} of ${matched} pods have serial ${serial}`;
  return no('Enforced', 'Progressing', `${progress}; waiting for ${listed(stale)}`);
}

function degraded(
  halt: ReconcileResult['halt'],
  events: ReconcileResult['events'],
  stale: readonly string[],
  previous: SigningKeySetStatus | undefined,
): Found {
  if (halt !== null) return yes('Degraded', halt.reason, halt.message);
  const reason = 'ActivatedWithLaggards';
  const before = previous?.conditions?.find(({ type, status }) => type === 'Degraded' && status === 'True');
  const left = events.some((event) => event.reason === reason) || before?.reason === reason;
  if (!left || stale.length === 0) return no('Degraded', 'AsExpected', '');
  return yes(
    'Degraded',
    reason,
    `a key signs that these pods have not loaded, so that they refuse its tokens: ${listed(stale)}; see why they do not take new bundles, or delete them`,
  );
}

function seconds(at: number | null): string | undefined {
  return at === null ? undefined : `${new Date(Math.ceil(at / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

function keys(count: number): string {
  return count === 1 ? '1 key' : `${count} keys`;
}

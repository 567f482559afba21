import type { KeySetOutputs } from '../outputs.ts';
import type { KeySetSpec } from '../spec.ts';
import type { Check, PlanContext, Step } from '../step.ts';

/** No keyring: the first key of a new set, or a halt when there was one before (a lost keyring is never made anew). */
export function keyringMissing(spec: KeySetSpec, outputs: KeySetOutputs | null, context: PlanContext): Step {
  if (outputs === null && !context.initialised)
    return { kind: 'Create', key: { kind: 'NewKey', algorithm: spec.algorithm } };
  const serial = outputs === null ? '' : ` (its outputs have serial ${outputs.serial})`;
  return {
    kind: 'Halt',
    reason: 'KeyringLost',
    message: `the keyring is gone, but key set ${spec.namespace}/${spec.name} had one${serial}; restore it from a backup`,
    until: null,
  };
}

/** The outputs are ahead: an old keyring was restored, and writing it out would bring dropped and revoked keys back. */
export const rolledBack: Check = {
  name: 'rolled-back',
  decide({ outputs, keyring }) {
    if (outputs === null || outputs.serial <= keyring.serial) return null;
    return {
      kind: 'Halt',
      reason: 'RolledBack',
      message: `the keyring has serial ${keyring.serial}, but outputs of serial ${outputs.serial} were written; restore a newer keyring`,
      until: null,
    };
  },
};

/** Someone stamped a time that is still ahead of us by more than clocks may differ: graces could be cut short. */
export const clockSkew: Check = {
  name: 'clock-skew',
  decide({ spec, keyring, now }) {
    if (keyring.maxTime <= now + spec.clockSkewMs) return null;
    const ahead = keyring.maxTime - now;
    return {
      kind: 'Halt',
      reason: 'ClockSkew',
      message: `the keyring was written at ${new Date(keyring.maxTime).toISOString()}, ${ahead} ms ahead of this clock (clockSkew ${spec.clockSkewMs} ms); correct the clock, or wait`,
      until: keyring.maxTime - spec.clockSkewMs,
    };
  },
};

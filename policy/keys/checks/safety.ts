import { isJwt } from '../algorithms.ts';
import { activeKey } from '../keyring.ts';
import type { KeySetOutputs } from '../outputs.ts';
import type { KeySetSpec } from '../spec.ts';
import type { Check, Halt, PlanContext, Situation, Step } from '../step.ts';
import { escrowLacking } from './escrow.ts';

/**
 * No keyring: the first key of a new set, or a halt when there was one before: a lost keyring is never made anew, unless its
 * loss was accepted by its serial.
 */
export function keyringMissing(spec: KeySetSpec, outputs: KeySetOutputs | null, context: PlanContext): Step {
  const { traces, escrow } = context;
  const lost = outputs === null && traces === null ? null : Math.max(outputs?.serial ?? 0, traces?.serial ?? 0);
  if (lost !== null && lost !== spec.acceptedLoss) {
    return {
      kind: 'Halt',
      reason: 'KeyringLost',
      message: `the keyring is gone, but key set ${spec.namespace}/${spec.name} had one, of serial ${lost}. Restore it${remedy(spec)}. Or accept that every token and ciphertext of its keys is lost, and annotate it with portcullis.dev/recover=regenerate@${lost}`,
      until: null,
    };
  }
  if (escrow.kind === 'Unusable' && escrowLacking(spec, context)) {
    return {
      kind: 'Halt',
      reason: 'EscrowUnavailable',
      message: `no key is made, because it could not be escrowed: ${escrow.message}`,
      until: null,
    };
  }
  // A lost keyring of which nothing tells the serial had at least the first.
  const serial = lost === null ? 1 : Math.max(lost, 1) + 1;
  return { kind: 'Create', key: { kind: 'NewKey', algorithm: spec.algorithm }, serial };
}

/** A trace is ahead: an old keyring was restored, and writing it out would bring dropped and revoked keys back. */
export const rolledBack: Check = {
  name: 'rolled-back',
  decide: (situation) => rollback(situation),
};

/** The halt of a keyring that is older than what was written from it; null: it is not. */
export function rollback({ spec, outputs, keyring, context }: Omit<Situation, 'now'>): Halt | null {
  const seen = Math.max(outputs?.serial ?? 0, context.traces?.serial ?? 0);
  if (seen <= keyring.serial) return null;
  return {
    kind: 'Halt',
    reason: 'RolledBack',
    message: `the keyring has serial ${keyring.serial}, but serial ${seen} has been written: an older keyring was put in its place. Restore the newer one${remedy(spec, ' --replace')}`,
    until: null,
  };
}

function remedy({ namespace, name, escrow }: KeySetSpec, option = ''): string {
  if (escrow === null) return ' from a backup of its Secret';
  return `: \`kubectl portcullis keys restore ${name} -n ${namespace}${option}\``;
}

/** Keys that sign never come to encrypt, nor the other way round; a set that is made again over retained keys may ask for it. */
export const anotherUse: Check = {
  name: 'another-use',
  decide({ spec, keyring }) {
    const { algorithm } = activeKey(keyring);
    if (isJwt(algorithm) === isJwt(spec.algorithm)) return null;
    return {
      kind: 'Halt',
      reason: 'AlgorithmConflict',
      message: `its keyring holds keys of ${algorithm}, which spec.algorithm ${spec.algorithm} would put to another use: what encrypts does not sign. Make the key set under another name, or make this one again with algorithm ${algorithm}`,
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

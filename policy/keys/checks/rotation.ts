import { isSymmetric } from '../algorithms.ts';
import { activeKey } from '../keyring.ts';
import { dueAt, maturesAt, nextKey } from '../next-key.ts';
import { maturityMs } from '../spec.ts';
import type { Check, Wait, WaitReason } from '../step.ts';
import { escrowLacking } from './escrow.ts';

/** A T, P or S larger than any seen while the active key signs is stamped on it before anyone may rely on it. */
export const gracesRaised: Check = {
  name: 'graces-raised',
  decide({ spec, keyring }) {
    const { graces } = activeKey(keyring);
    const raised =
      longerLife(spec.maxTokenLifetimeMs, graces.maxTokenLifetimeMs) ||
      spec.propagationMs > graces.propagationMs ||
      spec.clockSkewMs > graces.clockSkewMs;
    return raised ? { kind: 'ExtendGraces' } : null;
  },
};

/** A rotate request not seen before is remembered, so that it survives until a key has been activated for it. */
export const rotateRequested: Check = {
  name: 'rotate-requested',
  decide({ spec, keyring }) {
    if (spec.rotateRequest === null || spec.rotateRequest === keyring.rotateRequest) return null;
    return { kind: 'AcceptRotateRequest', request: spec.rotateRequest };
  },
};

/** A standby key of another algorithm will never sign; it never has, so nothing depends on it. */
export const standbyUnsuitable: Check = {
  name: 'standby-unsuitable',
  decide({ spec, keyring }) {
    const standby = keyring.keys.find((key) => key.phase === 'Standby' && key.algorithm !== spec.algorithm);
    return standby === undefined ? null : { kind: 'DiscardStandby', kid: standby.kid };
  },
};

/**
 * A next key is added when none stands by. Asymmetric sets always want one, so that a revocation finds it matured; the
 * next secret of a symmetric set stays out of the pods until it is needed.
 */
export const nextKeyMissing: Check = {
  name: 'next-key-missing',
  decide({ spec, keyring, now, context }) {
    if (nextKey(spec, keyring) !== undefined) return null;
    if (isSymmetric(spec.algorithm)) {
      if (spec.rotation.suspend) return null;
      const at = dueAt(spec, keyring) - maturityMs(spec);
      if (now < at) return wait(at, 'RotationPeriod');
    }
    if (keyring.keys.length >= spec.rotation.maxKeys) return wait(null, 'MaxKeys');
    if (escrowLacking(spec, context)) return wait(null, 'EscrowUnavailable');
    return { kind: 'Add', key: { kind: 'NewKey', algorithm: spec.algorithm } };
  },
};

/** The next key signs once rotation is due, the key has matured, and all counted consumers have it or have had their time. */
export const nextKeyActivation: Check = {
  name: 'next-key-activation',
  decide({ spec, keyring, now, context }) {
    if (spec.rotation.suspend) return wait(null, 'Suspended');
    const due = dueAt(spec, keyring);
    if (now < due) return wait(due, 'RotationPeriod');
    const next = nextKey(spec, keyring);
    if (next === undefined) return null;
    const maturesFrom = maturesAt(spec, next);
    if (now < maturesFrom) return wait(maturesFrom, 'PrePublish');
    // A serial above ours is of a keyring that was lost: it says nothing about this key.
    const laggards = context.acknowledgements
      .filter(({ serial }) => serial < next.addedSerial || serial > keyring.serial)
      .map(({ consumer }) => consumer);
    const { ackTimeoutMs } = spec.rotation;
    const patienceEnds = ackTimeoutMs === 0 ? null : maturesFrom + ackTimeoutMs;
    if (laggards.length > 0 && (patienceEnds === null || now < patienceEnds)) {
      return { ...wait(patienceEnds, 'Acknowledgements'), laggards };
    }
    return { kind: 'Activate', kid: next.kid, laggards };
  },
};

/** Whether tokens may live longer than `than`; null is for ever. */
function longerLife(life: number | null, than: number | null): boolean {
  return than !== null && (life === null || life > than);
}

function wait(until: number | null, reason: WaitReason): Wait {
  return { kind: 'Wait', until, reasons: [reason], laggards: [] };
}

import { listed } from '../../policy/compile/suggest.ts';
import { isJwt } from '../../policy/keys/algorithms.ts';
import { activeKey, type Key, type Keyring } from '../../policy/keys/keyring.ts';
import { dueAt, nextKey, rotationAt } from '../../policy/keys/next-key.ts';
import { activeKid, type KeySetOutputs } from '../../policy/keys/outputs.ts';
import { type KeySetSpec, maturityMs } from '../../policy/keys/spec.ts';
import type { Acknowledgement } from '../../policy/keys/step.ts';
import type { SigningKeySetStatus } from '../resources.ts';
import { type Found, type FoundStatus, no, yes } from '../status/conditions.ts';
import type { ReconcileResult } from './reconcile-key-set.ts';

/** A key set that was reconciled. */
export interface KeySetPicture {
  readonly spec: KeySetSpec;
  readonly result: ReconcileResult;
  readonly acknowledgements: readonly Acknowledgement[];
  /** Why another key set has its target rather; null: none has. */
  readonly conflict: string | null;
  /** What the status said before, part of which is to be remembered. */
  readonly previous: SigningKeySetStatus | undefined;
  /** Epoch milliseconds. */
  readonly now: number;
}

type KeysStatus = Pick<SigningKeySetStatus, 'activeKey' | 'nextKey' | 'nextRotation' | 'rotateRequest' | 'keys'>;

/** The most that the schema takes of an annotation. */
const MAX_REQUEST = 256;

/** The status that says it. Holds no key material, nor anything made from it. */
export function keySetStatus(picture: KeySetPicture): FoundStatus<SigningKeySetStatus> {
  const { spec, result, acknowledgements, previous } = picture;
  const { outputs, recipients } = result;
  // A keyring that was rolled back is behind what is known already.
  const keyring = stopOf(result)?.reason === 'RolledBack' ? null : result.keyring;
  // Never goes down: it tells of keys should all else be lost.
  const serial = Math.max(previous?.serial ?? 0, outputs?.serial ?? 0, keyring?.serial ?? 0);
  const stale = acknowledgements.filter((pod) => pod.serial < (outputs?.serial ?? 0)).map(({ consumer }) => consumer);
  const matched = acknowledgements.length;
  const escrow =
    recipients.kind === 'Usable' ? { recipients: [...recipients.fingerprints] } : spec.escrow && previous?.escrow;
  return {
    conditions: [
      accepted(picture),
      ready(result),
      enforced(outputs?.serial ?? 0, matched, stale),
      degraded(picture, stale),
    ],
    pods: { matched, current: matched - stale.length, stale: stale.length },
    ...(serial > 0 && { serial }),
    ...(keyring === null ? lastKnown(outputs, previous) : keysStatus(spec, keyring)),
    ...(escrow && { escrow }),
  };
}

/**
 * The status of a key set of which nothing is done: its spec (`Accepted` False) or its Secrets cannot be used. What else was
 * known stays known.
 */
export function unusableKeySetStatus(
  accepted: 'True' | 'False',
  reason: string,
  message: string,
  previous: SigningKeySetStatus | undefined,
): FoundStatus<SigningKeySetStatus> {
  const { conditions: _, observedGeneration: __, ...known } = previous ?? {};
  return {
    ...known,
    conditions: [
      accepted === 'True' ? yes('Accepted', 'Accepted', '') : no('Accepted', reason, message),
      no('Ready', reason, message),
      { type: 'Enforced', status: 'Unknown', reason, message: 'not looked at: see Ready' },
      yes('Degraded', reason, message),
    ],
  };
}

function lastKnown(outputs: KeySetOutputs | null, previous: SigningKeySetStatus | undefined): KeysStatus {
  const { nextKey, nextRotation, rotateRequest, keys, activeKey = outputs && activeKid(outputs) } = previous ?? {};
  return {
    ...(activeKey && { activeKey }),
    ...(nextKey && { nextKey }),
    ...(nextRotation && { nextRotation }),
    ...(rotateRequest && { rotateRequest }),
    ...(keys && { keys }),
  };
}

function keysStatus(spec: KeySetSpec, keyring: Keyring): KeysStatus {
  const next = nextKey(spec, keyring)?.kid;
  const at = rotationAt(spec, keyring);
  const { rotateRequest } = keyring;
  return {
    activeKey: activeKey(keyring).kid,
    ...(next !== undefined && { nextKey: next }),
    ...(at !== null && { nextRotation: seconds(at) }),
    ...(rotateRequest !== null && { rotateRequest: rotateRequest.slice(0, MAX_REQUEST).toWellFormed() }),
    keys: keyring.keys.map((key) => {
      const removedAfter = removedAt(key);
      return {
        kid: key.kid,
        state: key.phase,
        algorithm: key.algorithm,
        createdAt: seconds(key.createdAt),
        ...(key.phase !== 'Standby' && { activatedAt: seconds(key.activatedAt) }),
        ...(key.phase === 'Retired' && { retiredAt: seconds(key.retiredAt) }),
        ...(removedAfter !== null && { removedAfter: seconds(removedAfter) }),
      };
    }),
  };
}

/** When nothing that a key signed is alive any more; null: it still signs, or that is not known, or never. */
function removedAt(key: Key): number | null {
  if (key.phase !== 'Retired' || key.retireConfirmedAt === null) return null;
  const { maxTokenLifetimeMs, propagationMs, clockSkewMs } = key.graces;
  return maxTokenLifetimeMs === null ? null : key.retireConfirmedAt + maxTokenLifetimeMs + propagationMs + clockSkewMs;
}

/** Why it stands still, in the words of conditions; null: it does not. */
function stopOf({ end }: ReconcileResult): { readonly reason: string; readonly message: string } | null {
  if (end.kind !== 'Halt') return null;
  return { reason: end.reason === 'ExportsRefused' ? 'Conflicted' : end.reason, message: end.message };
}

function accepted({ result, conflict }: KeySetPicture): Found {
  const stop = stopOf(result);
  const message = conflict ?? (stop?.reason === 'Conflicted' ? stop.message : null);
  return message === null ? yes('Accepted', 'Accepted', '') : no('Accepted', 'Conflicted', message);
}

function ready(result: ReconcileResult): Found {
  const { outputs } = result;
  const stop = stopOf(result);
  if (stop !== null || outputs === null) {
    return no('Ready', stop?.reason ?? 'NoKeys', stop?.message ?? 'there is no key yet');
  }
  const { serial, fernet, verificationKeys } = outputs;
  const [does, others] =
    fernet === null ? ['signs', `verify: ${verificationKeys.length}`] : ['encrypts', `decrypt: ${fernet.length}`];
  return yes('Ready', 'Written', `key ${activeKid(outputs)} ${does}; keys that ${others}; serial ${serial}`);
}

function enforced(serial: number, matched: number, stale: readonly string[]): Found {
  if (serial === 0) return no('Enforced', 'NotReady', 'there is no key yet: see Ready');
  if (matched === 0) return no('Enforced', 'NoMatchingPods', 'no running pod uses this key set');
  if (stale.length === 0) return yes('Enforced', 'Acknowledged', `all ${matched} pods have serial ${serial}`);
  const progress = `${matched - stale.length} of ${matched} pods have serial ${serial}`;
  return no('Enforced', 'Progressing', `${progress}; waiting for ${listed(stale)}`);
}

function degraded(picture: KeySetPicture, stale: readonly string[]): Found {
  const { spec, result, conflict } = picture;
  const stop = stopOf(result);
  if (stop !== null) return yes('Degraded', stop.reason, stop.message);
  if (conflict !== null) return yes('Degraded', 'Conflicted', conflict);
  if (stale.length > 0 && laggardsWereLeft(picture)) {
    return yes(
      'Degraded',
      'ActivatedWithLaggards',
      `a key signs that these pods have not loaded, so that they refuse its tokens: ${listed(stale)}; see why they do not take new bundles, or delete them`,
    );
  }
  if (result.recipients.kind === 'Unusable') {
    const effect = spec.escrow?.required === true ? 'no key is made until then' : 'keys are made without escrow';
    return yes('Degraded', 'EscrowUnavailable', `${result.recipients.message}; ${effect}`);
  }
  const noRoom = waitsForRoom(picture);
  return noRoom === null ? no('Degraded', 'AsExpected', '') : yes('Degraded', 'MaxKeys', noRoom);
}

function laggardsWereLeft({ result, previous }: KeySetPicture): boolean {
  const reason = 'ActivatedWithLaggards';
  const before = previous?.conditions?.find(({ type, status }) => type === 'Degraded' && status === 'True');
  return before?.reason === reason || result.events.some((event) => event.reason === reason);
}

/** Why a rotation that is due, or would be once its key had been published, cannot begin; null: it can, or none is. */
function waitsForRoom({ spec, result: { keyring, end }, now }: KeySetPicture): string | null {
  if (keyring === null || end.kind !== 'Wait' || !end.reasons.includes('MaxKeys') || spec.rotation.suspend) return null;
  if (now < dueAt(spec, keyring) - maturityMs(spec)) return null;
  const held = `rotation waits for room: rotation.maxKeys ${spec.rotation.maxKeys} allows no more keys than the ${keyring.keys.length} held`;
  const removals = keyring.keys.map(removedAt).filter((at) => at !== null);
  if (removals.length > 0) {
    return `${held}; the next goes at ${seconds(Math.min(...removals))}, or raise rotation.maxKeys`;
  }
  const retired = keyring.keys.filter(({ phase, algorithm }) => phase === 'Retired' && !isJwt(algorithm));
  if (retired.length === 0) return `${held}; raise rotation.maxKeys`;
  const oldest = listed(retired.map(({ kid }) => kid));
  return `${held}, and without maxTokenLifetime none goes by itself; re-encrypt what the oldest keys encrypted, then revoke them: ${oldest}`;
}

function seconds(at: number): string {
  return `${new Date(Math.ceil(at / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

import { isDeepStrictEqual } from 'node:util';
import { PortcullisError } from '../errors.ts';
import { type ActiveKey, activeKey, type Key, type KeyMaterial, type Keyring, type RetiredKey } from './keyring.ts';
import { render } from './render.ts';
import type { Graces, KeySetSpec } from './spec.ts';
import type { KeyringStep, NewKey } from './step.ts';

/** The key that a step wants made before it can be applied, or null. */
export function newKeyOf(step: KeyringStep): NewKey | null {
  if (step.kind === 'Create' || step.kind === 'Add') return step.key;
  return step.kind === 'Revoke' && step.successor?.kind === 'NewKey' ? step.successor : null;
}

/**
 * The keyring after a step. `material`: the key that `newKeyOf` asked for. No time goes back: stamps are at least the
 * keyring's maxTime, so that a slow clock lengthens delays and never shortens one. Throws `key_refused` when the kid of
 * the material was ever used here.
 */
export function applyStep(
  spec: KeySetSpec,
  keyring: Keyring | null,
  step: KeyringStep,
  material: KeyMaterial | null,
  now: number,
): Keyring {
  if (keyring === null) return created(spec, step, requireMaterial(step, material), now);
  const at = Math.max(now, keyring.maxTime);
  const next = { ...keyring, ...changes(spec, keyring, step, material, at), maxTime: at };
  return isDeepStrictEqual(render(next), render(keyring)) ? next : { ...next, serial: keyring.serial + 1 };
}

function created(spec: KeySetSpec, step: KeyringStep, material: KeyMaterial, now: number): Keyring {
  const serial = step.kind === 'Create' ? step.serial : 1;
  return {
    keySet: `${spec.namespace}/${spec.name}`,
    serial,
    confirmed: serial - 1,
    maxTime: now,
    rotateRequest: spec.rotateRequest,
    rotatePending: false,
    keys: [activeAtOnce(spec, material, serial, now)],
    tombstones: [],
  };
}

function changes(
  spec: KeySetSpec,
  keyring: Keyring,
  step: KeyringStep,
  material: KeyMaterial | null,
  at: number,
): Partial<Keyring> {
  const { keys } = keyring;
  const serial = keyring.serial + 1;
  switch (step.kind) {
    case 'Create':
      throw new RangeError(`keyring of ${keyring.keySet} exists already`);
    case 'Revoke': {
      const tombstones = [...keyring.tombstones, { kid: step.kid, reason: step.reason, revokedAt: at }];
      const others = keys.filter((key) => key.kid !== step.kid);
      if (step.successor === null) return { tombstones, keys: others };
      if (step.successor.kind === 'Standby') {
        return { tombstones, rotatePending: false, keys: activated(spec, others, step.successor.kid, serial, at) };
      }
      const successor = activeAtOnce(spec, requireMaterial(step, material, keyring), serial, at);
      return { tombstones, rotatePending: false, keys: [...others, successor] };
    }
    case 'Confirm':
      return { confirmed: keyring.serial, keys: keys.map((key) => confirmed(key, at)) };
    case 'ExtendGraces':
      return {
        keys: keys.map((key) => (key.phase === 'Active' ? { ...key, graces: largest(key.graces, spec) } : key)),
      };
    case 'AcceptRotateRequest':
      return { rotateRequest: step.request, rotatePending: true };
    case 'Add': {
      const added = requireMaterial(step, material, keyring);
      return {
        keys: [...keys, { ...added, phase: 'Standby', createdAt: at, addedSerial: serial, publishedAt: null }],
      };
    }
    case 'Activate': {
      const retired = retire(activeKey(keyring), at);
      const others = keys.map((key) => (key.phase === 'Active' ? retired : key));
      return { rotatePending: false, keys: activated(spec, others, step.kid, serial, at) };
    }
    case 'ErasePrivateHalf':
      return { keys: keys.map((key) => (key.kid === step.kid ? { ...key, privateMembers: null } : key)) };
    case 'DiscardStandby':
    case 'Drop':
      return { keys: keys.filter((key) => key.kid !== step.kid) };
  }
}

function activeAtOnce(spec: KeySetSpec, material: KeyMaterial, serial: number, at: number): ActiveKey {
  return {
    ...material,
    phase: 'Active',
    createdAt: at,
    addedSerial: serial,
    publishedAt: null,
    activatedAt: at,
    activatedSerial: serial,
    graces: gracesOf(spec),
  };
}

function activated(spec: KeySetSpec, keys: readonly Key[], kid: string, serial: number, at: number): readonly Key[] {
  return keys.map((key) =>
    key.kid === kid && key.phase === 'Standby'
      ? { ...key, phase: 'Active', activatedAt: at, activatedSerial: serial, graces: gracesOf(spec) }
      : key,
  );
}

function retire({ activatedSerial: _, ...key }: ActiveKey, at: number): RetiredKey {
  return { ...key, phase: 'Retired', retiredAt: at, retireConfirmedAt: null };
}

function confirmed(key: Key, at: number): Key {
  const published = { ...key, publishedAt: key.publishedAt ?? at };
  return published.phase === 'Retired'
    ? { ...published, retireConfirmedAt: published.retireConfirmedAt ?? at }
    : published;
}

function gracesOf({ maxTokenLifetimeMs, propagationMs, clockSkewMs }: Graces): Graces {
  return { maxTokenLifetimeMs, propagationMs, clockSkewMs };
}

function largest(a: Graces, b: Graces): Graces {
  return {
    maxTokenLifetimeMs:
      a.maxTokenLifetimeMs === null || b.maxTokenLifetimeMs === null
        ? null
        : Math.max(a.maxTokenLifetimeMs, b.maxTokenLifetimeMs),
    propagationMs: Math.max(a.propagationMs, b.propagationMs),
    clockSkewMs: Math.max(a.clockSkewMs, b.clockSkewMs),
  };
}

function requireMaterial(step: KeyringStep, material: KeyMaterial | null, keyring?: Keyring): KeyMaterial {
  const wanted = newKeyOf(step);
  if (wanted === null || material === null || material.algorithm !== wanted.algorithm) {
    throw new RangeError(
      `step ${step.kind} needs a new ${wanted?.algorithm ?? 'key'}, not ${material?.algorithm ?? 'none'}`,
    );
  }
  const { kid } = material;
  if (keyring?.keys.some((key) => key.kid === kid) || keyring?.tombstones.some((tombstone) => tombstone.kid === kid)) {
    throw new PortcullisError(
      'key_refused',
      `key id ${kid} was used before in key set ${keyring.keySet}; generate another key`,
    );
  }
  return material;
}

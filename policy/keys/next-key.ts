import { jitterMs } from './jitter.ts';
import { activeKey, type Keyring, type StandbyKey } from './keyring.ts';
import { type KeySetSpec, maturityMs } from './spec.ts';

/** The standby key that may become active one day: of the algorithm asked for; undefined: none. */
export function nextKey(spec: KeySetSpec, keyring: Keyring): StandbyKey | undefined {
  for (const key of keyring.keys) {
    if (key.phase === 'Standby' && key.algorithm === spec.algorithm) return key;
  }
  return undefined;
}

/** Epoch milliseconds from which a key has been published long enough to sign. */
export function maturesAt(spec: KeySetSpec, key: StandbyKey): number {
  return key.publishedAt === null ? Number.POSITIVE_INFINITY : key.publishedAt + maturityMs(spec);
}

/**
 * Epoch milliseconds from which the next key may sign if every consumer acknowledges it in time; null: nobody knows yet,
 * because rotation is suspended or a key that is due has none to take its place.
 */
export function rotationAt(spec: KeySetSpec, keyring: Keyring): number | null {
  if (spec.rotation.suspend) return null;
  const next = nextKey(spec, keyring);
  const at = Math.max(dueAt(spec, keyring), next === undefined ? 0 : maturesAt(spec, next));
  return at === 0 || at === Number.POSITIVE_INFINITY ? null : at;
}

/** Epoch milliseconds from which the active key is due for replacement; 0: at once. */
export function dueAt(spec: KeySetSpec, keyring: Keyring): number {
  const active = activeKey(keyring);
  if (keyring.rotatePending || active.algorithm !== spec.algorithm) return 0;
  const { periodMs, notBefore } = spec.rotation;
  const scheduled = active.activatedAt + periodMs + jitterMs(spec.uid, active.activatedSerial, periodMs);
  return notBefore !== null && active.activatedAt < notBefore ? Math.min(scheduled, notBefore) : scheduled;
}

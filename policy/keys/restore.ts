import { PortcullisError } from '../errors.ts';
import { isSymmetric } from './algorithms.ts';
import type { Key, KeyMaterial, Keyring, KeyringWithoutMaterial, KeyWithoutMaterial } from './keyring.ts';
import type { Revocation } from './spec.ts';

/** What a restored keyring is made under. */
export interface RestoreOptions {
  /** Its serial: above every serial that was ever written for this key set. */
  readonly serial: number;
  /** Those of the resource; a key among them does not come back. */
  readonly revocations: readonly Revocation[];
}

/**
 * The keyring that an escrow's index describes, with the material of its keys (by kid). What pods and verifiers saw since the
 * index was written is not known, so every time that runs from publication starts anew with the next confirmation: delays
 * grow and never shrink. Its maxTime stays, for the clock of who restores is not the operator's. Tombstones stay. A revoked key
 * is left out, but for the active one, which the planner replaces before it writes anything. Throws `keyring_invalid`, naming
 * the kids whose material is missing, erased or another key's.
 */
export function restoreKeyring(
  index: KeyringWithoutMaterial,
  materials: ReadonlyMap<string, KeyMaterial>,
  { serial, revocations }: RestoreOptions,
): Keyring {
  const keys: Key[] = [];
  const missing: string[] = [];
  for (const state of restorableKeys(index, revocations)) {
    const key = restoredKey(state, materials.get(state.kid), serial);
    if (key === null) missing.push(state.kid);
    else keys.push(key);
  }
  if (missing.length > 0) {
    throw new PortcullisError('keyring_invalid', `no material of these keys of the index: ${missing.join(', ')}`);
  }
  return { ...index, serial, confirmed: serial - 1, keys };
}

/** The keys of an index that come back: all but revoked ones that are not active. */
export function restorableKeys(
  index: KeyringWithoutMaterial,
  revocations: readonly Revocation[],
): readonly KeyWithoutMaterial[] {
  const revoked = new Set(revocations.map(({ kid }) => kid));
  return index.keys.filter(({ kid, phase }) => phase === 'Active' || !revoked.has(kid));
}

function restoredKey(state: KeyWithoutMaterial, material: KeyMaterial | undefined, serial: number): Key | null {
  if (material?.kid !== state.kid || material.algorithm !== state.algorithm) return null;
  // A retired pair verifies by its public half alone; the private one was erased, or would be within minutes.
  if (state.phase === 'Retired' && !isSymmetric(state.algorithm)) {
    return { ...material, ...state, retireConfirmedAt: null, privateMembers: null };
  }
  if (material.privateMembers === null) return null;
  switch (state.phase) {
    case 'Standby':
      return { ...material, ...state, addedSerial: serial, publishedAt: null };
    case 'Active':
      return { ...material, ...state };
    case 'Retired':
      return { ...material, ...state, retireConfirmedAt: null };
  }
}

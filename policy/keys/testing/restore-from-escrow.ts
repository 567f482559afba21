import assert from 'node:assert/strict';
import type { KeyMaterial, Keyring } from '../keyring.ts';
import { restoreKeyring } from '../restore.ts';
import type { KeySetSpec } from '../spec.ts';
import type { Promises } from './promises.ts';
import type { SimulatedStore } from './simulated-store.ts';

/**
 * The keyring that an admin makes of the escrow, as `kubectl portcullis keys restore --replace` does. `isWhole`: the
 * escrow knows all that outputs were ever written with. Property 12: it does, if it could be written all the time.
 */
export function restoreFromEscrow(
  { revocations }: KeySetSpec,
  store: SimulatedStore,
  { published, escrowed }: Promises,
  materials: ReadonlyMap<string, KeyMaterial>,
): { readonly keyring: Keyring; readonly isWhole: boolean } {
  const { index = null, messages = {} } = store.escrow ?? {};
  assert(index !== null);
  assert(index.serial >= escrowed, `property 12: the index has serial ${index.serial}, and ${escrowed} was exposed`);
  const read = new Map([...materials].filter(([kid]) => Object.hasOwn(messages, kid)));
  const serial = Math.max(store.lostSerial() ?? 0, store.keyring?.serial ?? 0) + 1;
  return { keyring: restoreKeyring(index, read, { serial, revocations }), isWhole: index.serial >= published };
}

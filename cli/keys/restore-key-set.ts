import { isDeepStrictEqual } from 'node:util';
import type { KeySetStore, StoredKeyring } from '../../operator/signing-keys/key-set-store.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { Escrow } from '../../policy/keys/escrow.ts';
import type { KeyMaterial, Keyring, KeyringState, KeyringWithoutMaterial } from '../../policy/keys/keyring.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { render } from '../../policy/keys/render.ts';
import { restorableKeys, restoreKeyring } from '../../policy/keys/restore.ts';
import type { Revocation } from '../../policy/keys/spec.ts';
import { readEscrowedKey } from './escrowed-key.ts';

/** What somebody has seen of a key set. */
export interface Sighting {
  readonly serial: number;
  readonly kids: readonly string[];
}

/** What a key set is restored from. */
export interface RestoreInput {
  /** `namespace/name`. */
  readonly keySet: string;
  readonly store: Pick<KeySetStore, 'readOutputs' | 'readEscrow' | 'readTraces' | 'readKeyring' | 'writeKeyring'>;
  readonly escrow: Escrow;
  /** Those of the resource. */
  readonly revocations: readonly Revocation[];
  /** What the status of the resource says. */
  readonly status: Sighting;
  readonly decrypt: (message: string) => Promise<string>;
  /** A keyring that is there may be replaced. */
  readonly replace: boolean;
  /** What the escrow does not have may be lost. */
  readonly acceptLoss: boolean;
}

/** What became of a restoration. */
export interface Restored {
  readonly keyring: Keyring;
  /** Keys that did not come back, each with why. */
  readonly lost: readonly string[];
  /** Kids that were left out because they are revoked. */
  readonly revoked: readonly string[];
}

/**
 * Brings the keyring of a key set back from its escrow. Throws `config_invalid` where a person must decide first,
 * `keyring_invalid` when the escrow or a message in it is not what it should be, `keyring_conflict` when somebody wrote a
 * keyring meanwhile; then nothing has been written.
 */
export async function restoreKeySet(input: RestoreInput): Promise<Restored> {
  const { keySet, store, escrow, acceptLoss } = input;
  const outputs = await store.readOutputs();
  const before = await readIndex(store);
  const traces = await store.readTraces();
  const stored = await readKeyring(store);
  if (stored !== null && !input.replace) {
    const found = `key set ${keySet} has a keyring, of serial ${stored.keyring.serial}`;
    throw refused(`${found}; nothing was done. To put the escrow's in its place: --replace`);
  }
  const written = requireIndex(escrow, keySet);
  const known = [before, stored?.keyring ?? null].filter((keyring) => keyring !== null);
  requireActiveUnrevoked(written, known, input.revocations);
  const index = known.reduce(remembering, written);
  const revocations = [...input.revocations, ...index.tombstones];
  const seen: readonly Sighting[] = [
    input.status,
    { serial: Math.max(traces?.serial ?? 0, before?.serial ?? 0), kids: [] },
    ...(outputs === null ? [] : [{ serial: outputs.serial, kids: kidsOf(outputs) }]),
    ...(stored === null ? [] : sightingsOf(stored.keyring, written)),
  ];
  const lacking = lackingIn(index, seen, revocations);
  const newest = Math.max(...seen.map(({ serial }) => serial));
  if (!acceptLoss && (newest > index.serial || lacking.length > 0)) throw lossy(index, newest, lacking);

  const { materials, failed } = await decryptAll(input, index, revocations);
  const restorable = { ...index, keys: index.keys.filter(({ kid }) => !failed.has(kid)) };
  const serial = Math.max(index.serial, newest) + 1;
  const keyring = restoreKeyring(restorable, materials, { serial, revocations });
  if (outputs !== null) requireSameKeys(keyring, outputs);
  await store.writeKeyring(keyring, stored?.version ?? null);
  const kept = new Set(restorableKeys(index, revocations).map(({ kid }) => kid));
  return {
    keyring,
    lost: [...lacking.map((kid) => `${kid}: not in the escrow`), ...[...failed].map(([kid, why]) => `${kid}: ${why}`)],
    revoked: index.keys.flatMap(({ kid }) => (kept.has(kid) ? [] : [kid])),
  };
}

async function readKeyring(store: RestoreInput['store']): Promise<StoredKeyring | null> {
  try {
    return await store.readKeyring();
  } catch (error) {
    if (!(error instanceof PortcullisError && error.code === 'keyring_invalid')) throw error;
    throw refused(
      `${error.message}. It must be out of the way first: keep a copy, delete that Secret, and run this again`,
    );
  }
}

function requireIndex({ index }: Escrow, keySet: string): KeyringWithoutMaterial {
  if (index === null) throw refused('the escrow has no index: no keyring was ever written with it');
  if (index.keySet !== keySet) throw refused(`the escrow is of key set ${index.keySet}, not of ${keySet}`);
  return index;
}

/** The index of the escrow that is in the store, which need not be the one that is restored; null: none, or it is damaged. */
async function readIndex(store: RestoreInput['store']): Promise<KeyringState | null> {
  try {
    const index = (await store.readEscrow())?.escrow.index;
    return index ?? null;
  } catch (error) {
    if (error instanceof PortcullisError && error.code === 'keyring_invalid') return null;
    throw error;
  }
}

/** The one revoked key that would come back is the one that signs: the planner replaces it, if the resource says so. */
function requireActiveUnrevoked(
  { keySet, keys }: KeyringWithoutMaterial,
  known: readonly KeyringState[],
  revocations: readonly Revocation[],
): void {
  const active = keys.find(isActive)?.kid;
  const isRevoked = known.some(({ tombstones }) => tombstones.some(({ kid }) => kid === active));
  if (!isRevoked || revocations.some(({ kid }) => kid === active)) return;
  const [namespace, name] = keySet.split('/');
  const remedy = `kubectl portcullis revoke ${name} ${active} --unknown -n ${namespace} --reason TEXT`;
  throw refused(
    `key ${active}, which signs by the escrow, was revoked since, and spec.revocations does not say so: ${remedy}`,
  );
}

/** The index, with the tombstones and the time of another keyring of the key set. */
function remembering(index: KeyringWithoutMaterial, { tombstones, maxTime }: KeyringState): KeyringWithoutMaterial {
  const known = new Set([...index.tombstones, ...index.keys.filter(isActive)].map(({ kid }) => kid));
  const others = tombstones.filter(({ kid }) => !known.has(kid));
  return { ...index, tombstones: [...index.tombstones, ...others], maxTime: Math.max(index.maxTime, maxTime) };
}

/** Keys made after the index was written, and yet of a lower serial, are of a set that began anew. */
function sightingsOf({ serial, keys }: Keyring, index: KeyringWithoutMaterial): readonly Sighting[] {
  const younger = keys.filter(({ createdAt }) => createdAt > index.maxTime);
  return [
    { serial, kids: keys.map(({ kid }) => kid) },
    { serial: index.serial, kids: younger.map(({ kid }) => kid) },
  ];
}

/**
 * The kids that were seen and are not in the index. What was seen at a lower serial may have been dropped on the way to the
 * index, and revoked keys are not missed.
 */
function lackingIn(
  index: KeyringWithoutMaterial,
  seen: readonly Sighting[],
  revocations: readonly Revocation[],
): readonly string[] {
  const known = new Set([...index.keys, ...revocations].map(({ kid }) => kid));
  const kids = seen.flatMap(({ serial, kids }) => (serial < index.serial ? [] : kids));
  return [...new Set(kids)].filter((kid) => !known.has(kid));
}

function lossy({ serial }: KeyringWithoutMaterial, newest: number, lacking: readonly string[]): PortcullisError {
  const behind = newest > serial ? `, but serial ${newest} has been written` : '';
  const without =
    lacking.length > 0
      ? `; it lacks ${lacking.join(', ')}, so that tokens and ciphertexts of these keys would be lost`
      : '';
  const choice = 'Restore from a newer escrow (--file), or accept the loss: --accept-loss';
  return refused(`the escrow is of serial ${serial}${behind}${without}. ${choice}`);
}

async function decryptAll(
  { keySet, escrow, decrypt, acceptLoss }: RestoreInput,
  index: KeyringWithoutMaterial,
  revocations: readonly Revocation[],
) {
  const materials = new Map<string, KeyMaterial>();
  const failed = new Map<string, string>();
  // The active key first: without it there is nothing to restore, and nobody is asked for more than one passphrase.
  const wanted = restorableKeys(index, revocations).toSorted((a, b) => Number(isActive(b)) - Number(isActive(a)));
  for (const state of wanted) {
    const { kid } = state;
    try {
      const message = Object.hasOwn(escrow.messages, kid) ? escrow.messages[kid] : undefined;
      if (message === undefined) throw new PortcullisError('keyring_invalid', 'it is not in the escrow');
      materials.set(kid, await readEscrowedKey(await decrypt(message), keySet, kid));
    } catch (error) {
      if (!(error instanceof PortcullisError)) throw error;
      if (isActive(state) || !acceptLoss) {
        const choice = isActive(state) ? '' : '. To go on without this key: --accept-loss';
        throw new PortcullisError(error.code, `the message of key ${kid}: ${error.message}${choice}`);
      }
      failed.set(kid, error.message);
    }
  }
  return { materials, failed };
}

/** Whoever could write the escrow, and not the outputs, could otherwise slip in keys of their own under the same kids. */
function requireSameKeys(keyring: Keyring, outputs: KeySetOutputs): void {
  const before = materialByKid(outputs);
  for (const [kid, material] of materialByKid(render(keyring))) {
    if (before.has(kid) && !isDeepStrictEqual(before.get(kid), material)) {
      throw new PortcullisError('keyring_invalid', `the message of key ${kid}: it is not the key that pods have`);
    }
  }
}

function materialByKid({ verificationKeys, fernet }: KeySetOutputs): ReadonlyMap<string, unknown> {
  return new Map([...verificationKeys, ...(fernet ?? [])].map((key) => [key.kid, key]));
}

function kidsOf(outputs: KeySetOutputs): readonly string[] {
  return [...materialByKid(outputs).keys()];
}

function isActive({ phase }: { readonly phase: string }): boolean {
  return phase === 'Active';
}

function refused(message: string): PortcullisError {
  return new PortcullisError('config_invalid', message);
}

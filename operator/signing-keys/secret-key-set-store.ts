import { isDeepStrictEqual } from 'node:util';
import {
  escrowSecretName,
  keyringSecretName,
  OWN_ANNOTATIONS,
  outputsSecretName,
  type SECRET_KINDS,
} from '../../policy/api/names.ts';
import { type ErrorCode, PortcullisError } from '../../policy/errors.ts';
import type { Escrow } from '../../policy/keys/escrow.ts';
import { decodeEscrow, encodeEscrow } from '../../policy/keys/escrow-document.ts';
import type { Keyring } from '../../policy/keys/keyring.ts';
import { decodeKeyring, encodeKeyring } from '../../policy/keys/keyring-document.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { decodeOutputs, encodeOutputs } from '../../policy/keys/outputs-document.ts';
import type { Traces } from '../../policy/keys/step.ts';
import { SECRETS, type Secret } from '../kube/objects.ts';
import { SIGNING_KEY_SETS } from '../resources.ts';
import type { KeySetStore, StoredEscrow, StoredKeyring } from './key-set-store.ts';
import { isRemovable, type KeySetRef, SecretKeySetExports } from './secret-key-set-store-exports.ts';
import {
  deleteSecret,
  type Files,
  filesIn,
  isLabelled,
  type KeySetStoreClient,
  labelsOf,
  lostRace,
  writeSecret,
} from './secret-key-set-store-secrets.ts';

/** Key of the keyring's Secret under which the keyring document stands. */
export const KEYRING_FILE = 'keyring.json';

/** Key of the outputs' Secret under which the outputs document stands. */
export const OUTPUTS_FILE = 'outputs.json';

/** More writers that are first, one after the other, than there can be by chance. */
const MAX_ATTEMPTS = 20;

/**
 * A KeySetStore of three Secrets in the operator's namespace and one in the key set's, read live and written only over the
 * version that was read. Nothing that Portcullis did not write is believed or overwritten: in the operator's namespace every
 * method then throws `keyring_refused`, or `keyring_invalid` for what is damaged, and says what to do. Throws KubeError when the
 * API server refuses.
 */
export class SecretKeySetStore implements KeySetStore {
  readonly #client: KeySetStoreClient;
  readonly #keySet: KeySetRef;
  readonly #keyring: Place;
  readonly #outputs: Place;
  readonly #escrow: Place;
  readonly #exports: SecretKeySetExports;

  constructor(client: KeySetStoreClient, operatorNamespace: string, keySet: KeySetRef) {
    const { namespace, name } = keySet;
    this.#client = client;
    this.#keySet = keySet;
    this.#exports = new SecretKeySetExports(client, keySet);
    this.#keyring = {
      namespace: operatorNamespace,
      name: keyringSecretName(namespace, name),
      holds: 'keyring',
      remedy: `restore it from a backup, or delete it and run \`kubectl portcullis keys restore ${name} -n ${namespace}\``,
    };
    this.#outputs = {
      namespace: operatorNamespace,
      name: outputsSecretName(namespace, name),
      holds: 'key-set-outputs',
      remedy: 'delete it: it is written again from the keyring',
    };
    this.#escrow = {
      namespace: operatorNamespace,
      name: escrowSecretName(namespace, name),
      holds: 'key-set-escrow',
      remedy: 'restore it from a backup, or delete it while the keyring is whole: its keys are encrypted again',
    };
  }

  async readOutputs(): Promise<KeySetOutputs | null> {
    const secret = await this.#read(this.#outputs);
    return secret && outputsIn(secret, this.#outputs);
  }

  isExported(outputs: KeySetOutputs | null): Promise<boolean> {
    return this.#exports.are(outputs);
  }

  async readEscrow(): Promise<StoredEscrow | null> {
    const secret = await this.#read(this.#escrow);
    if (secret === null) return null;
    const escrow = decoded(secret, this.#escrow, decodeEscrow);
    if (escrow.index !== null) this.#expectOurs(this.#escrow, escrow.index.keySet);
    return { escrow, version: versionOf(secret) };
  }

  async readTraces(): Promise<Traces | null> {
    const object = await this.#client.get(SIGNING_KEY_SETS, this.#keySet);
    const { serial = 0, activeKey } = object?.status ?? {};
    const isNoted = object?.metadata.annotations?.[OWN_ANNOTATIONS.initialised] !== undefined;
    const isKnown = serial > 0 || activeKey !== undefined || isNoted;
    return isKnown || (await this.#exports.list(1)).length > 0 ? { serial } : null;
  }

  async readKeyring(): Promise<StoredKeyring | null> {
    const secret = await this.#read(this.#keyring);
    if (secret === null) return null;
    const keyring = decoded(secret, this.#keyring, (files) => decodeKeyring(files[KEYRING_FILE] ?? ''));
    this.#expectOurs(this.#keyring, keyring.keySet);
    return { keyring, version: versionOf(secret) };
  }

  async writeKeyring(keyring: Keyring, expectedVersion: string | null): Promise<void> {
    await this.#writeOver(this.#keyring, expectedVersion, { [KEYRING_FILE]: encodeKeyring(keyring) });
  }

  async writeOutputs(outputs: KeySetOutputs): Promise<void> {
    const files = { [OUTPUTS_FILE]: encodeOutputs(outputs) };
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const secret = await this.#read(this.#outputs);
      if (secret !== null && outputsIn(secret, this.#outputs).serial > outputs.serial) return;
      if (await this.#write(this.#outputs, secret && versionOf(secret), files)) return;
    }
    throw lostRace(this.#outputs);
  }

  writeExports(outputs: KeySetOutputs): Promise<void> {
    return this.#exports.write(outputs, async () => isDeepStrictEqual(await this.readOutputs(), outputs));
  }

  async writeEscrow(escrow: Escrow, expectedVersion: string | null): Promise<void> {
    await this.#writeOver(this.#escrow, expectedVersion, encodeEscrow(escrow));
  }

  async erase(expectedVersion: string | null): Promise<void> {
    // Read before the keyring: of a key set made anew meanwhile nothing is then deleted.
    const exports = (await this.#exports.list()).filter(isRemovable);
    const outputs = await this.#read(this.#outputs);
    const keyring = await this.#read(this.#keyring);
    if ((keyring && versionOf(keyring)) !== expectedVersion) throw lostRace(this.#keyring);
    for (const secret of [...exports, outputs, keyring]) {
      if (secret !== null) await deleteSecret(this.#client, secret);
    }
  }

  async #read(place: Place): Promise<Secret | null> {
    const secret = await this.#client.get(SECRETS, place);
    if (secret === null) return null;
    if (!isLabelled(secret, labelsOf(this.#keySet, place.holds))) {
      const what = `does not have the labels that Portcullis gives it; ${place.remedy}, or move it away`;
      throw unusable(place, what, 'keyring_refused');
    }
    if (secret.immutable === true) {
      throw unusable(
        place,
        'is immutable, so that keys cannot change; put a copy without `immutable: true` in its place',
        'keyring_refused',
      );
    }
    return secret;
  }

  #expectOurs(place: Place, keySet: string): void {
    if (keySet === `${this.#keySet.namespace}/${this.#keySet.name}`) return;
    throw unusable(place, `holds the ${place.holds} of ${keySet}; ${place.remedy}`);
  }

  async #writeOver(place: Place, expectedVersion: string | null, files: Files): Promise<void> {
    if (!(await this.#write(place, expectedVersion, files))) throw lostRace(place);
  }

  #write({ namespace, name, holds }: Place, expectedVersion: string | null, files: Files): Promise<boolean> {
    const version = expectedVersion === null ? {} : { resourceVersion: expectedVersion };
    return writeSecret(this.#client, { namespace, name, labels: labelsOf(this.#keySet, holds), ...version }, files);
  }
}

interface Place {
  readonly namespace: string;
  readonly name: string;
  readonly holds: (typeof SECRET_KINDS)[number];
  /** What to do when what is there cannot be used. */
  readonly remedy: string;
}

function outputsIn(secret: Secret, place: Place): KeySetOutputs {
  return decoded(secret, place, (files) => decodeOutputs(files[OUTPUTS_FILE] ?? ''));
}

function decoded<T>(secret: Secret, place: Place, decode: (files: Files) => T): T {
  try {
    return decode(filesIn(secret));
  } catch (error) {
    if (error instanceof PortcullisError) throw unusable(place, `is damaged: ${error.message}; ${place.remedy}`);
    throw error;
  }
}

function versionOf({ metadata }: Secret): string {
  return metadata.resourceVersion ?? '';
}

function unusable({ namespace, name }: Place, what: string, code: ErrorCode = 'keyring_invalid'): PortcullisError {
  return new PortcullisError(code, `Secret ${namespace}/${name} ${what}`);
}

import { keyringSecretName, LABELS, outputsSecretName, type SECRET_KINDS } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import type { Keyring } from '../../policy/keys/keyring.ts';
import { decodeKeyring, encodeKeyring } from '../../policy/keys/keyring-document.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { decodeOutputs, encodeOutputs } from '../../policy/keys/outputs-document.ts';
import { type KubeClient, KubeError } from '../kube/kube-client.ts';
import { SECRETS, type Secret } from '../kube/objects.ts';
import { SIGNING_KEY_SETS } from '../resources.ts';
import type { KeySetStore, StoredKeyring } from './key-set-store.ts';

/** Key of the keyring's Secret under which the keyring document stands. */
export const KEYRING_FILE = 'keyring.json';

/** Key of the outputs' Secret under which the outputs document stands. */
export const OUTPUTS_FILE = 'outputs.json';

/** More writers that are first, one after the other, than there can be by chance. */
const MAX_ATTEMPTS = 20;

/**
 * A KeySetStore of two Secrets in the operator's namespace, read live and written only over the version that was read.
 * Nothing that Portcullis did not write is believed or overwritten: then every method throws `keyring_invalid` and says
 * what to do. Throws KubeError when the API server refuses.
 */
export class SecretKeySetStore implements KeySetStore {
  readonly #client: Pick<KubeClient, 'get' | 'create' | 'replace'>;
  readonly #keySet: { readonly namespace: string; readonly name: string };
  readonly #keyring: Place;
  readonly #outputs: Place;

  constructor(
    client: Pick<KubeClient, 'get' | 'create' | 'replace'>,
    operatorNamespace: string,
    { namespace, name }: { readonly namespace: string; readonly name: string },
  ) {
    this.#client = client;
    this.#keySet = { namespace, name };
    this.#keyring = {
      namespace: operatorNamespace,
      name: keyringSecretName(namespace, name),
      holds: 'keyring',
      file: KEYRING_FILE,
      remedy: 'restore it from a backup',
    };
    this.#outputs = {
      namespace: operatorNamespace,
      name: outputsSecretName(namespace, name),
      holds: 'key-set-outputs',
      file: OUTPUTS_FILE,
      remedy: 'delete it: it is written again from the keyring',
    };
  }

  async readOutputs(): Promise<KeySetOutputs | null> {
    const secret = await this.#read(this.#outputs);
    return secret && documentIn(secret, this.#outputs, decodeOutputs);
  }

  async readKeyring(): Promise<StoredKeyring | null> {
    const secret = await this.#read(this.#keyring);
    if (secret === null) return null;
    const keyring = documentIn(secret, this.#keyring, decodeKeyring);
    if (keyring.keySet !== `${this.#keySet.namespace}/${this.#keySet.name}`) {
      throw unusable(this.#keyring, `holds the keyring of ${keyring.keySet}; ${this.#keyring.remedy}`);
    }
    return { keyring, version: secret.metadata.resourceVersion ?? '' };
  }

  /** Whether there are outputs, or the status of the SigningKeySet names a key. */
  async wasInitialised(): Promise<boolean> {
    if ((await this.#read(this.#outputs)) !== null) return true;
    return (await this.#client.get(SIGNING_KEY_SETS, this.#keySet))?.status?.activeKey !== undefined;
  }

  async writeKeyring(keyring: Keyring, expectedVersion: string | null): Promise<void> {
    if (await this.#write(this.#keyring, encodeKeyring(keyring), expectedVersion)) return;
    throw conflict(this.#keyring);
  }

  async writeOutputs(outputs: KeySetOutputs): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const secret = await this.#read(this.#outputs);
      if (secret !== null && documentIn(secret, this.#outputs, decodeOutputs).serial > outputs.serial) return;
      if (await this.#write(this.#outputs, encodeOutputs(outputs), secret?.metadata.resourceVersion ?? null)) return;
    }
    throw conflict(this.#outputs);
  }

  async #read(place: Place): Promise<Secret | null> {
    const secret = await this.#client.get(SECRETS, place);
    if (secret === null) return null;
    const labels = secret.metadata.labels ?? {};
    if (Object.entries(this.#labels(place)).some(([label, value]) => labels[label] !== value)) {
      throw unusable(place, `does not have the labels that Portcullis gives it; ${place.remedy}, or move it away`);
    }
    if (secret.immutable === true) {
      throw unusable(
        place,
        'is immutable, so that keys cannot change; put a copy without `immutable: true` in its place',
      );
    }
    return secret;
  }

  /** False: another writer was first. */
  async #write(place: Place, text: string, resourceVersion: string | null): Promise<boolean> {
    const { namespace, name, file } = place;
    const version = resourceVersion === null ? {} : { resourceVersion };
    const secret: Secret = {
      metadata: { namespace, name, labels: this.#labels(place), ...version },
      type: 'Opaque',
      data: { [file]: Buffer.from(text).toString('base64') },
    };
    try {
      await (resourceVersion === null ? this.#client.create(SECRETS, secret) : this.#client.replace(SECRETS, secret));
      return true;
    } catch (error) {
      const lostRace = resourceVersion === null ? ['AlreadyExists'] : ['Conflict', 'NotFound'];
      if (error instanceof KubeError && lostRace.includes(error.reason)) return false;
      throw error;
    }
  }

  #labels({ holds }: Place): Record<string, string> {
    const { namespace, name } = this.#keySet;
    return { [LABELS.holds]: holds, [LABELS.ownerNamespace]: namespace, [LABELS.ownerName]: name };
  }
}

interface Place {
  readonly namespace: string;
  readonly name: string;
  readonly holds: (typeof SECRET_KINDS)[number];
  readonly file: string;
  /** What to do when what is there cannot be used. */
  readonly remedy: string;
}

function documentIn<T>({ data }: Secret, place: Place, decode: (text: string) => T): T {
  try {
    return decode(Buffer.from(data?.[place.file] ?? '', 'base64').toString('utf8'));
  } catch (error) {
    if (error instanceof PortcullisError) throw unusable(place, `is damaged: ${error.message}; ${place.remedy}`);
    throw error;
  }
}

function unusable({ namespace, name }: Place, what: string): PortcullisError {
  return new PortcullisError('keyring_invalid', `Secret ${namespace}/${name} ${what}`);
}

function conflict({ namespace, name }: Place): PortcullisError {
  return new PortcullisError('keyring_conflict', `Secret ${namespace}/${name} was changed by another writer`, {
    retry: 'later',
  });
}

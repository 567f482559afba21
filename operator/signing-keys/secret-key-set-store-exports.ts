import { isDeepStrictEqual } from 'node:util';
import { LABELS, OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { defaultExportName, exportOf } from '../../policy/keys/exports.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { KubeError } from '../kube/kube-client.ts';
import { type ObjectKey, SECRETS, type Secret } from '../kube/objects.ts';
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

/** A key set, and the Secret that its spec names for what apps read. */
export interface KeySetRef {
  readonly namespace: string;
  readonly name: string;
  readonly secretName?: string | undefined;
}

/** There is one, two after a change of its name; more, of up to 1 MiB, whoever writes Secrets there may have made up. */
const MOST_LISTED = 8;
/** Names that begin so are kept for bundles. */
const OURS = 'portcullis-';
const MAKE_ROOM = 'raise the quota, or remove what refuses it';

/** What apps read of a key set: one Secret of its own namespace, whose users may have written anything into it. */
export class SecretKeySetExports {
  readonly #client: KeySetStoreClient;
  readonly #keySet: KeySetRef;
  readonly #labels: Readonly<Record<string, string>>;

  constructor(client: KeySetStoreClient, keySet: KeySetRef) {
    this.#client = client;
    this.#keySet = keySet;
    this.#labels = labelsOf(keySet, 'key-set-exports');
  }

  /** The first ones that carry the key set's labels, whatever their names and contents. */
  async list(limit = MOST_LISTED): Promise<readonly Secret[]> {
    const labelSelector = Object.entries(this.#labels)
      .map((pair) => pair.join('='))
      .join(',');
    return (await this.#client.list(SECRETS, { namespace: this.#keySet.namespace, labelSelector, limit })).items;
  }

  /** Whether exactly what `outputs` say stands there, and nowhere else; with null, nothing. */
  async are(outputs: KeySetOutputs | null): Promise<boolean> {
    const wanted = outputs && this.#wanted(outputs);
    const found = await this.list();
    if (found.some((secret) => isStale(secret, wanted))) return false;
    if (wanted === null) return true;
    const { namespace } = this.#keySet;
    const listed = found.find(({ metadata }) => metadata.name === wanted.name);
    const target = listed ?? (await this.#client.get(SECRETS, { namespace, name: wanted.name }));
    return (
      target !== null &&
      isLabelled(target, this.#labels) &&
      target.immutable !== true &&
      target.metadata.annotations?.[OWN_ANNOTATIONS.serial] === wanted.serial &&
      isDeepStrictEqual(filesIn(target), wanted.files)
    );
  }

  /**
   * Writes what `outputs` say, if `isCurrent` says so after the version to be replaced was read, and then removes what stands
   * under other names. Throws `exports_refused` when something is in the way or forbids it, `keyring_conflict` when another was first.
   */
  async write(outputs: KeySetOutputs, isCurrent: () => Promise<boolean>): Promise<void> {
    const wanted = this.#wanted(outputs);
    const found = await this.list();
    const before = wanted && (await this.#replaceable(wanted));
    if (!(await isCurrent())) return;
    if (wanted !== null) {
      const { namespace } = this.#keySet;
      const { name, serial, files } = wanted;
      const annotations = { [OWN_ANNOTATIONS.serial]: serial };
      const { resourceVersion } = before?.metadata ?? {};
      const version = resourceVersion === undefined ? {} : { resourceVersion };
      const metadata = { namespace, name, labels: this.#labels, annotations, ...version };
      const isWritten = await writeSecret(this.#client, metadata, files).catch((error: unknown) => {
        throw isForbidden(error) ? refused(metadata, `may not be written (${error.message})`, MAKE_ROOM) : error;
      });
      if (!isWritten) throw lostRace(metadata);
    }
    for (const secret of found) if (isStale(secret, wanted)) await deleteSecret(this.#client, secret);
  }

  #wanted(outputs: KeySetOutputs): Wanted | null {
    const wanted = exportOf(outputs);
    if (wanted === null) return null;
    const name = this.#keySet.secretName ?? defaultExportName(this.#keySet.name, wanted.suffix);
    return { name, files: wanted.files, serial: String(outputs.serial) };
  }

  /** What stands where the exports go. */
  async #replaceable({ name }: Wanted): Promise<Secret | null> {
    const { namespace } = this.#keySet;
    if (name.startsWith(OURS)) throw refused({ namespace, name }, 'would have a name that is kept for bundles');
    const secret = await this.#client.get(SECRETS, { namespace, name });
    if (secret === null) return null;
    if (!isLabelled(secret, this.#labels)) throw refused(secret.metadata, whose(secret));
    if (secret.immutable === true || secret.type !== 'Opaque') {
      const what = 'is immutable or not of type Opaque, so that apps would not see new keys';
      throw refused(secret.metadata, what, 'delete it, and it is written again');
    }
    return secret;
  }
}

/** A quota that somebody used up, or another's admission. */
function isForbidden(error: unknown): error is KubeError {
  return error instanceof KubeError && error.reason === 'Forbidden';
}

interface Wanted {
  readonly name: string;
  readonly files: Files;
  readonly serial: string;
}

/**
 * Whether one that carries our labels is ours to delete. Others may copy them onto Secrets that we never write, nor may touch
 * (charts/portcullis/templates/operator-bounds.yaml). What waits for somebody else's finalizer is as good as gone.
 */
export function isRemovable({ metadata, type = 'Opaque' }: Secret): boolean {
  return type === 'Opaque' && !metadata.name.startsWith(OURS) && metadata.deletionTimestamp === undefined;
}

function isStale(secret: Secret, wanted: Wanted | null): boolean {
  return secret.metadata.name !== wanted?.name && isRemovable(secret);
}

function whose({ metadata: { labels = {} } }: Secret): string {
  const { [LABELS.holds]: holds, [LABELS.ownerNamespace]: namespace, [LABELS.ownerName]: name } = labels;
  return holds === 'key-set-exports' && namespace !== undefined && name !== undefined
    ? `holds what apps read of key set ${namespace}/${name}`
    : 'is not one that Portcullis made';
}

function refused(
  { namespace, name }: ObjectKey,
  what: string,
  remedy = 'write another name in spec.secretName, or delete it',
): PortcullisError {
  const message = `Secret ${namespace}/${name} ${what}; nothing existing is overwritten: ${remedy}`;
  return new PortcullisError('exports_refused', message, { retry: 'later' });
}

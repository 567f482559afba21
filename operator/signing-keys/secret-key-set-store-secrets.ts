import { LABELS, type SECRET_KINDS } from '../../policy/api/names.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { type KubeClient, KubeError } from '../kube/kube-client.ts';
import { type ObjectKey, SECRETS, type Secret } from '../kube/objects.ts';

/** What a store of key sets asks of the API server. */
export type KeySetStoreClient = Pick<KubeClient, 'get' | 'list' | 'create' | 'replace' | 'delete'>;

/** Texts by file name. */
export type Files = Readonly<Record<string, string>>;

/** The labels of a key set's Secrets. */
export function labelsOf(
  { namespace = '', name }: ObjectKey,
  holds: (typeof SECRET_KINDS)[number],
): Readonly<Record<string, string>> {
  return { [LABELS.holds]: holds, [LABELS.ownerNamespace]: namespace, [LABELS.ownerName]: name };
}

/** Whether a Secret has all of these labels. */
export function isLabelled({ metadata }: Secret, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([label, value]) => metadata.labels?.[label] === value);
}

/** What stands in a Secret. */
export function filesIn({ data = {} }: Secret): Files {
  return mapped(data, (value) => Buffer.from(value, 'base64').toString('utf8'));
}

/**
 * Writes a Secret of exactly this metadata and these files over the version that its metadata names, or where there is none.
 * False: another writer was first. Throws KubeError.
 */
export async function writeSecret(
  client: KeySetStoreClient,
  metadata: Secret['metadata'],
  files: Files,
): Promise<boolean> {
  const isNew = metadata.resourceVersion === undefined;
  const data = mapped(files, (text) => Buffer.from(text).toString('base64'));
  const secret: Secret = { metadata, type: 'Opaque', data };
  try {
    await (isNew ? client.create(SECRETS, secret) : client.replace(SECRETS, secret));
    return true;
  } catch (error) {
    const lostRace = isNew ? ['AlreadyExists'] : ['Conflict', 'NotFound'];
    if (error instanceof KubeError && lostRace.includes(error.reason)) return false;
    throw error;
  }
}

/** Deletes the version of a Secret that was read. Throws `keyring_conflict` when it is there no more, and KubeError. */
export async function deleteSecret(client: KeySetStoreClient, { metadata }: Secret): Promise<void> {
  const { uid, resourceVersion } = metadata;
  if (!(await client.delete(SECRETS, metadata, { uid, resourceVersion }))) throw lostRace(metadata);
}

/** Another writer was first: nothing is lost, plan again. */
export function lostRace({ namespace, name }: ObjectKey): PortcullisError {
  return new PortcullisError('keyring_conflict', `Secret ${namespace}/${name} was changed by another writer`, {
    retry: 'later',
  });
}

function mapped(values: Files, change: (value: string) => string): Files {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));
}

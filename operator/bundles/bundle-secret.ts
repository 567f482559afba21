import type { KeyObject } from 'node:crypto';
import { accessSecretName, issuerSecretName, LABELS, limitsSecretName } from '../../policy/api/names.ts';
import { bundleHash, decodeBundle } from '../../policy/bundle/decode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import type { Bundle } from '../../policy/bundle/types.ts';
import { type ErrorCode, PortcullisError } from '../../policy/errors.ts';
import type { ObjectKey, OwnerReference, Secret } from '../kube/objects.ts';
import type { PolicyKey } from '../workloads/enforcement.ts';

/** A bundle that our key signed. */
export interface SignedBundle {
  readonly bundle: Bundle;
  /** `bundleHash` of the file. */
  readonly hash: string;
}

/** What a Secret holds: a bundle of ours, why it is none, or null: no file at all. */
export type BundleReading = SignedBundle | ErrorCode | null;

/** Whether a reading is a bundle of ours. */
export function isSigned(reading: BundleReading): reading is SignedBundle {
  return typeof reading === 'object' && reading !== null;
}

/** Why what a Secret holds is none of our doing; null: it is, or there is nothing, or another version of ours wrote it. */
export function whyTampered(reading: BundleReading): ErrorCode | null {
  return isSigned(reading) || reading === 'bundle_invalid' ? null : reading;
}

const SECRET_NAMES = { Access: accessSecretName, Limits: limitsSecretName, Issuer: issuerSecretName } as const;

/** Where a policy's bundle is. */
export function bundleSecretKey({ kind, namespace, name }: PolicyKey): ObjectKey {
  return { namespace, name: SECRET_NAMES[kind](name) };
}

/** The name of the policy whose bundle a Secret of that name holds; null: not one of this kind. */
export function policyOfSecret(kind: Bundle['kind'], secretName: string): string | null {
  const { name: prefix } = bundleSecretKey({ kind, namespace: '', name: '' });
  return secretName.startsWith(prefix) ? secretName.slice(prefix.length) : null;
}

/** Reads what anybody may have written into the Secret of a bundle; believes only what `publicKey` signed. */
export function readBundle(secret: Secret, name: PolicyKey, publicKey: KeyObject): BundleReading {
  const file = secret.data?.[BUNDLE_FILE];
  if (file === undefined) return null;
  const bytes = Buffer.from(file, 'base64');
  try {
    return { bundle: decodeBundle(bytes, { publicKey, ...name, afterSerial: 0 }), hash: bundleHash(bytes) };
  } catch (error) {
    if (error instanceof PortcullisError) return error.code;
    throw error;
  }
}

/** Whether the Secret is labelled and owned as `bundleSecret` does it. */
export function isLabelled({ metadata }: Secret, owner: OwnerReference): boolean {
  return (
    metadata.labels?.[LABELS.holds] === 'bundle' &&
    metadata.labels[LABELS.allowReference] === undefined &&
    metadata.ownerReferences?.some(({ uid }) => uid === owner.uid) === true
  );
}

/** The Secret of a policy's bundle, with its file or still without. Goes when `owner`, the policy, goes. */
export function bundleSecret(name: PolicyKey, owner: OwnerReference, file: Uint8Array | null): Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      ...bundleSecretKey(name),
      labels: {
        [LABELS.holds]: 'bundle',
        [LABELS.ownerNamespace]: name.namespace,
        [LABELS.ownerName]: name.name,
      },
      ownerReferences: [owner],
    },
    type: 'Opaque',
    data: file === null ? {} : { [BUNDLE_FILE]: Buffer.from(file).toString('base64') },
  };
}

import { isDeepStrictEqual } from 'node:util';
import { LABELS } from '../../policy/api/names.ts';
import { bundleHash } from '../../policy/bundle/decode.ts';
import { encodeBundle } from '../../policy/bundle/encode.ts';
import type { Bundle } from '../../policy/bundle/types.ts';
import type { AccessContent } from '../../policy/compile/compile-access-policy.ts';
import type { IssuerContent } from '../../policy/compile/compile-issuer.ts';
import type { LimitsContent } from '../../policy/compile/compile-limits.ts';
import type { ErrorCode } from '../../policy/errors.ts';
import type { KubeClient, ObjectCache } from '../kube/kube-client.ts';
import { KubeError } from '../kube/kube-client.ts';
import { type OwnerReference, SECRETS, type Secret } from '../kube/objects.ts';
import { type ExpectedBundle, type PolicyKey, policyId } from '../workloads/enforcement.ts';
import {
  type BundleReading,
  bundleSecret,
  bundleSecretKey,
  isLabelled,
  isSigned,
  readBundle,
  type SignedBundle,
  whyTampered,
} from './bundle-secret.ts';
import type { BundleSerials } from './bundle-serials.ts';
import type { BundleSigningKey } from './bundle-signing-key.ts';

/** The bundle that is now in the Secret. */
export interface Publication extends ExpectedBundle {
  /** Whether it was written just now. */
  readonly written: boolean;
  /** Code of why what was there had to be replaced; null: it was ours, or nothing. */
  readonly tampered: ErrorCode | null;
}

/** A bundle before it is given a serial. */
export type BundleContent = AccessContent | LimitsContent | IssuerContent;

/** Writes bundles into the namespaces of their policies. */
export interface BundlePublisher {
  /**
   * Makes the bundle of a policy be `content`; without a request when it already is. The serial only ever rises, whatever was
   * done to the Secret: the content is written by naming the version that was read, and the serial is taken after that
   * reading, so of two writers the later has the higher. Null: a Secret that is not ours stands there; it was left alone. Throws
   * bundle_too_large, and KubeError: `Conflict` when others keep winning.
   */
  publish(content: BundleContent, owner: OwnerReference): Promise<Publication | null>;
  /** Deletes the bundle that was seen last, where there is one; it is labelled as ours. Throws KubeError. */
  remove(policy: PolicyKey): Promise<void>;
  /** The bundle as last seen, without a request. */
  read(policy: PolicyKey): BundleReading;
  /** Forgets a policy that is gone. */
  forget(policy: PolicyKey): void;
}

/** What a publisher works with. */
export interface PublisherParts {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace' | 'delete'>;
  /** Secrets with the label of a bundle. */
  readonly bundles: ObjectCache<Secret>;
  readonly signingKey: BundleSigningKey;
  readonly serials: BundleSerials;
  /** The highest serial that any pod says it runs; 0: none. Pods may lie: it must be bounded. */
  readonly highestSerial: (policy: PolicyKey) => number;
}

const MAX_ATTEMPTS = 10;

/** Creates the publisher of one operator. */
export function createBundlePublisher({
  client,
  bundles,
  signingKey,
  serials,
  highestSerial,
}: PublisherParts): BundlePublisher {
  /** Serials that this process saw or wrote: what is lower was put back. */
  const highest = new Map<string, number>();

  const read = (secret: Secret, policy: PolicyKey) => readBundle(secret, policy, signingKey.publicKey);

  /** Whether nothing is to be written. */
  function isUpToDate(secret: Secret, reading: BundleReading, wanted: Wanted): reading is SignedBundle {
    if (!isSigned(reading) || !isLabelled(secret, wanted.owner)) return false;
    const { serial, ...content } = reading.bundle;
    const floor = Math.max(highestSerial(wanted.policy), highest.get(policyId(wanted.policy)) ?? 0);
    return serial >= floor && isDeepStrictEqual(content, wanted.content);
  }

  function remember(policy: PolicyKey, serial: number): void {
    highest.set(policyId(policy), Math.max(serial, highest.get(policyId(policy)) ?? 0));
  }

  function unchanged(policy: PolicyKey, { bundle, hash }: SignedBundle, tampered: ErrorCode | null): Publication {
    remember(policy, bundle.serial);
    return { serial: bundle.serial, hash, written: false, tampered };
  }

  function wasPutBack(policy: PolicyKey, reading: BundleReading): boolean {
    return isSigned(reading) && reading.bundle.serial < (highest.get(policyId(policy)) ?? 0);
  }

  async function write(wanted: Wanted): Promise<Publication | null> {
    const { policy, owner } = wanted;
    let tampered: ErrorCode | null = null;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      // Created without content, so that content is only ever written over a version that was read.
      const secret = (await client.get(SECRETS, bundleSecretKey(policy))) ?? (await create(wanted));
      if (secret === null) continue;
      const reading = read(secret, policy);
      if (secret.metadata.labels?.[LABELS.holds] !== 'bundle' && !isSigned(reading)) return null;
      if (isUpToDate(secret, reading, wanted)) return unchanged(policy, reading, tampered);
      tampered ??= wasPutBack(policy, reading) ? 'bundle_older' : whyTampered(reading);
      // Neither can be changed on a Secret: somebody made it anew.
      if (secret.immutable === true || secret.type !== 'Opaque') {
        await client.delete(SECRETS, bundleSecretKey(policy), { uid: secret.metadata.uid });
        continue;
      }
      const existing = isSigned(reading) ? reading.bundle.serial : 0;
      const serial = await serials.next(Math.max(existing, highestSerial(policy)));
      const file = encodeBundle({ ...wanted.content, serial } as Bundle, signingKey.privateKey);
      if (!(await replaced(secret, bundleSecret(policy, owner, file)))) continue;
      remember(policy, serial);
      return { serial, hash: bundleHash(file), written: true, tampered };
    }
    throw new KubeError(409, 'Conflict', 'others kept writing the Secret of the bundle at the same time');
  }

  async function create({ policy, owner }: Wanted): Promise<Secret | null> {
    return unless('AlreadyExists', client.create(SECRETS, bundleSecret(policy, owner, null)));
  }

  async function replaced({ metadata }: Secret, by: Secret): Promise<boolean> {
    const { uid = '', resourceVersion = '' } = metadata;
    const written = client.replace(SECRETS, { ...by, metadata: { ...by.metadata, uid, resourceVersion } });
    return (await unless('Conflict', unless('NotFound', written))) !== null;
  }

  return {
    async publish(given, owner) {
      const { kind, namespace, name } = given;
      // As it will be read back: members that are undefined are not in JSON.
      const content = JSON.parse(JSON.stringify(given));
      const wanted: Wanted = { policy: { kind, namespace, name }, owner, content };
      const cached = bundles.get(bundleSecretKey(wanted.policy));
      const reading = cached === undefined ? null : read(cached, wanted.policy);
      if (cached === undefined || !isUpToDate(cached, reading, wanted)) return write(wanted);
      return unchanged(wanted.policy, reading, null);
    },
    read(policy) {
      const secret = bundles.get(bundleSecretKey(policy));
      return secret === undefined ? null : read(secret, policy);
    },
    async remove(policy) {
      highest.delete(policyId(policy));
      const secret = bundles.get(bundleSecretKey(policy));
      if (secret === undefined) return;
      const gone = client.delete(SECRETS, bundleSecretKey(policy), { uid: secret.metadata.uid });
      await unless('Conflict', unless('NotFound', gone));
    },
    forget: (policy) => void highest.delete(policyId(policy)),
  };
}

interface Wanted {
  readonly policy: PolicyKey;
  readonly owner: OwnerReference;
  readonly content: BundleContent;
}

async function unless<T>(reason: string, request: Promise<T>): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof KubeError && error.reason === reason) return null;
    throw error;
  }
}

import type { KeyObject } from 'node:crypto';
import type { SidecarArguments } from '../../runtime/sidecar-arguments.ts';
import type { ObjectCache } from '../kube/kube-client.ts';
import type { Secret } from '../kube/objects.ts';
import { type PolicyKey, policyId } from '../workloads/enforcement.ts';
import { bundleSecretKey, isSigned, policyOfSecret, readBundle } from './bundle-secret.ts';

/** Serials that a pod injected now starts from, the highest ever seen; 0: there is no bundle, or no policy was named. */
export type CurrentSerials = (
  namespace: string,
  access: string,
  limits: string | null,
) => SidecarArguments['minimumSerials'];

/**
 * Reads `bundles`, the cache of Secrets with a bundle's label; only what the key signed is seen. For every replica, not only
 * the leader.
 */
export function currentSerials(bundles: ObjectCache<Secret>, publicKey: KeyObject): CurrentSerials {
  /** Users can put an older bundle back; a pod that is created in that moment must not start from it. */
  const highest = new Map<string, number>();
  function serialOf(policy: PolicyKey): number {
    const id = policyId(policy);
    const secret = bundles.get(bundleSecretKey(policy));
    const reading = secret === undefined ? null : readBundle(secret, policy, publicKey);
    const serial = Math.max(isSigned(reading) ? reading.bundle.serial : 0, highest.get(id) ?? 0);
    if (serial > 0) highest.set(id, serial);
    return serial;
  }
  bundles.onChange((secret) => {
    if (secret === undefined) return;
    const { namespace = '', name: secretName } = secret.metadata;
    for (const kind of ['Access', 'Limits', 'Issuer'] as const) {
      const name = policyOfSecret(kind, secretName);
      if (name !== null) serialOf({ kind, namespace, name });
    }
  });
  return (namespace, access, limits) => ({
    access: serialOf({ kind: 'Access', namespace, name: access }),
    limits: limits === null ? 0 : serialOf({ kind: 'Limits', namespace, name: limits }),
    issuer: serialOf({ kind: 'Issuer', namespace, name: access }),
  });
}

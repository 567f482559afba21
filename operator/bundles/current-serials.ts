import type { KeyObject } from 'node:crypto';
import type { SidecarArguments } from '../../runtime/sidecar-arguments.ts';
import type { ObjectCache } from '../kube/kube-client.ts';
import type { Secret } from '../kube/objects.ts';
import type { BundleKind, ExpectedBundle, PolicyKey } from '../workloads/enforcement.ts';
import { bundleSecretKey, isSigned, policyOfSecret, readBundle } from './bundle-secret.ts';

/** Bundles as the cache has them; only what our key signed is seen. For every replica, not only the leader. */
export interface CurrentSerials {
  /** Serials that a pod injected now starts from; 0: there is no bundle, or no policy was named. */
  currentSerials(namespace: string, access: string, limits: string | null): SidecarArguments['minimumSerials'];
  /** Every bundle there is. */
  bundleSerials(): Iterable<PolicyKey & ExpectedBundle>;
}

const KINDS: readonly BundleKind[] = ['Access', 'Limits'];

/** Reads `bundles`, the cache of Secrets with a bundle's label, with the key that signed them. */
export function createCurrentSerials(bundles: ObjectCache<Secret>, publicKey: KeyObject): CurrentSerials {
  function expected(policy: PolicyKey): (PolicyKey & ExpectedBundle) | null {
    const secret = bundles.get(bundleSecretKey(policy));
    const reading = secret === undefined ? null : readBundle(secret, policy, publicKey);
    return isSigned(reading) ? { ...policy, serial: reading.bundle.serial, hash: reading.hash } : null;
  }
  const serialOf = (policy: PolicyKey): number => expected(policy)?.serial ?? 0;

  return {
    currentSerials: (namespace, access, limits) => ({
      access: serialOf({ kind: 'Access', namespace, name: access }),
      limits: limits === null ? 0 : serialOf({ kind: 'Limits', namespace, name: limits }),
    }),
    *bundleSerials() {
      for (const { metadata } of bundles.all()) {
        for (const kind of KINDS) {
          const name = policyOfSecret(kind, metadata.name);
          const found = name && expected({ kind, namespace: metadata.namespace ?? '', name });
          if (found) yield found;
        }
      }
    },
  };
}

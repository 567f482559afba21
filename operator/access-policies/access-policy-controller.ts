import { type PolicyControllerParts, policyReconciler } from '../bundles/reconcile-policy.ts';
import type { Reconcile } from '../kube/kube-client.ts';
import { ACCESS_POLICIES } from '../resources.ts';

/** Reconciles AccessPolicies, by `namespace/name`: bundle in their namespace, status, Events. */
export function accessPolicyReconciler(parts: PolicyControllerParts): Reconcile {
  return policyReconciler('Access', ACCESS_POLICIES, parts);
}

import { type PolicyControllerParts, policyReconciler } from '../bundles/reconcile-policy.ts';
import type { Reconcile } from '../kube/kube-client.ts';
import { RATE_LIMIT_POLICIES } from '../resources.ts';

/** Reconciles RateLimitPolicies, by `namespace/name`: bundle in their namespace, status, Events. */
export function rateLimitPolicyReconciler(parts: PolicyControllerParts): Reconcile {
  return policyReconciler('Limits', RATE_LIMIT_POLICIES, parts);
}

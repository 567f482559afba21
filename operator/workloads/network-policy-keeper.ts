import { isDeepStrictEqual } from 'node:util';
import { ANNOTATIONS } from '../../policy/api/names.ts';
import type { EventRecorder, KubeClient, ObjectCache, Reconcile } from '../kube/kube-client.ts';
import type { KubeObject, Namespace, Pod, Service } from '../kube/objects.ts';
import {
  isOurs,
  NETWORK_POLICIES,
  type NetworkPolicy,
  networkPolicyName,
  planNetworkPolicies,
} from './network-policies.ts';

/** What the keeper of NetworkPolicies works with. */
export interface NetworkPolicyParts {
  readonly client: Pick<KubeClient, 'apply' | 'delete'>;
  readonly namespaces: ObjectCache<Namespace>;
  readonly services: ObjectCache<Service>;
  readonly pods: ObjectCache<Pod>;
  readonly networkPolicies: ObjectCache<NetworkPolicy>;
  readonly events: EventRecorder;
}

/** Events end after an hour. */
const REPEAT_MS = 30 * 60_000;

/** Keeps the NetworkPolicies of `network-policy: Generate`, by key `namespace`: writes, corrects and removes ours. */
export function createNetworkPolicyKeeper(parts: NetworkPolicyParts): Reconcile {
  const { client, events } = parts;
  return async (name) => {
    const namespace = parts.namespaces.get({ name });
    const networkPolicies = [...parts.networkPolicies.inNamespace(name)];
    if (namespace === undefined || namespace.metadata.deletionTimestamp) return { afterMs: null };
    const services = [...parts.services.inNamespace(name)];
    const pods = [...parts.pods.inNamespace(name)];
    const isAsked = [namespace, ...services, ...pods].some(asks);
    const plans = isAsked ? planNetworkPolicies({ namespace, services, pods, networkPolicies }) : [];

    const wanted = new Set<string>();
    for (const plan of plans) {
      if ('refused' in plan) {
        const about = { ...plan.service, apiVersion: 'v1', kind: 'Service' };
        events.record({ about, type: 'Warning', reason: 'NetworkPolicyNotGenerated', message: plan.refused });
        continue;
      }
      const { policy, service } = plan;
      wanted.add(networkPolicyName(service));
      const before = networkPolicies.find(({ metadata }) => metadata.name === networkPolicyName(service));
      if (policy && !isDeepStrictEqual(before?.spec, policy.spec)) await client.apply(NETWORK_POLICIES, policy);
    }
    for (const policy of networkPolicies.filter(isOurs)) {
      const { name: policyName, uid } = policy.metadata;
      if (!wanted.has(policyName))
        await client.delete(NETWORK_POLICIES, { namespace: name, name: policyName }, { uid });
    }
    return { afterMs: plans.some((plan) => 'refused' in plan) ? REPEAT_MS : null };
  };
}

function asks({ metadata }: KubeObject): boolean {
  return metadata.annotations?.[ANNOTATIONS.networkPolicy] !== undefined;
}

import type { Logger } from 'pino';
import { LABELS } from '../policy/api/names.ts';
import type { HttpsKubeClient } from './kube/https-kube-client.ts';
import type { Selection } from './kube/kube-client.ts';
import type { KubeMetrics } from './kube/kube-metrics.ts';
import {
  type KubeObject,
  NAMESPACES,
  NODES,
  type Node,
  PODS,
  type ResourceType,
  SECRETS,
  SERVICES,
  type Secret,
} from './kube/objects.ts';
import { Reflector } from './kube/reflector.ts';
import { ACCESS_POLICIES, RATE_LIMIT_POLICIES, SIGNING_KEY_SETS } from './resources.ts';
import { NETWORK_POLICIES } from './workloads/network-policies.ts';
import { podView } from './workloads/pod-view.ts';

/** What caches are made with. */
export interface CacheParts {
  readonly client: HttpsKubeClient;
  readonly log: Logger;
  readonly metrics: KubeMetrics;
}

/** Reflectors by what they hold. */
export type Reflectors = Readonly<
  Record<string, Pick<Reflector<KubeObject>, 'start' | 'stop' | 'whenSynced' | 'synced' | 'lastContact'>>
>;

/** What every replica follows: all that webhooks decide by. `namespace`: the operator's own. */
export function sharedCaches({ client, log, metrics }: CacheParts, namespace: string) {
  const reflector = <T extends KubeObject>(type: ResourceType<T>, selection: Selection = {}, keep?: (object: T) => T) =>
    new Reflector({ client, type, selection, log, metrics, ...(keep && { keep }) });
  return {
    namespaces: reflector(NAMESPACES),
    services: reflector(SERVICES),
    keySets: reflector(SIGNING_KEY_SETS),
    accessPolicies: reflector(ACCESS_POLICIES),
    rateLimitPolicies: reflector(RATE_LIMIT_POLICIES),
    // Keyrings are read live; releases of helm are large.
    ownSecrets: reflector(SECRETS, { namespace, fieldSelector: 'type!=helm.sh/release.v1' }, withoutKeyring),
    referableSecrets: reflector(SECRETS, { labelSelector: `${LABELS.allowReference}=true` }),
    bundles: reflector(SECRETS, { labelSelector: `${LABELS.holds}=bundle` }),
  } satisfies Reflectors;
}

/** What only the leader follows: the workloads. */
export function leaderCaches({ client, log, metrics }: CacheParts) {
  return {
    pods: new Reflector({ client, type: PODS, keep: podView, log, metrics }),
    nodes: new Reflector({ client, type: NODES, keep: nodeView, log, metrics }),
    networkPolicies: new Reflector({ client, type: NETWORK_POLICIES, log, metrics }),
  } satisfies Reflectors;
}

/** Starts them all; resolves when each has seen a complete list. */
export async function startCaches(caches: Reflectors): Promise<void> {
  for (const cache of Object.values(caches)) cache.start();
  await Promise.all(Object.values(caches).map((cache) => cache.whenSynced()));
}

/** Ends them all. */
export async function stopCaches(caches: Reflectors): Promise<void> {
  await Promise.all(Object.values(caches).map((cache) => cache.stop()));
}

function withoutKeyring(secret: Secret): Secret {
  if (secret.metadata.labels?.[LABELS.holds] !== 'keyring') return secret;
  const { data: _, ...rest } = secret;
  return rest;
}

function nodeView({ metadata: { name, uid, resourceVersion }, status }: Node): Node {
  const conditions = status?.conditions?.filter(({ type }) => type === 'Ready') ?? [];
  return {
    metadata: { name, ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) },
    status: { conditions },
  };
}

import { unknownWord } from '../../policy/compile/suggest.ts';
import type { CandidateNames } from '../../runtime/sidecar-arguments.ts';
import type { OperatorConfig } from '../config.ts';
import type { KubeClient, ObjectCache } from '../kube/kube-client.ts';
import { NAMESPACES, type Namespace, type ResourceType } from '../kube/objects.ts';
import { ACCESS_POLICIES, type CustomResource, RATE_LIMIT_POLICIES } from '../resources.ts';

/** What handlers look up: caches, and the API server for what was created a moment ago. */
export interface ReviewLookups {
  readonly client: Pick<KubeClient, 'get' | 'list'>;
  readonly namespaces: ObjectCache<Namespace>;
  readonly accessPolicies: ObjectCache<CustomResource>;
  readonly rateLimitPolicies: ObjectCache<CustomResource>;
}

/** Whether objects of that namespace are never touched, whatever the webhook configurations select: ours and Kubernetes' own. */
export function isExempt(namespace: string, config: Pick<OperatorConfig, 'namespace'>): boolean {
  return namespace === config.namespace || namespace === 'kube-system';
}

/** Throws KubeError; null when there is none. */
export async function findNamespace({ namespaces, client }: ReviewLookups, name: string): Promise<Namespace | null> {
  return namespaces.get({ name }) ?? (await client.get(NAMESPACES, { name }));
}

/** One warning for each policy that is named and does not exist (yet). Throws nothing: what cannot be looked up is not warned of. */
export async function missingPolicyWarnings(
  lookups: ReviewLookups,
  namespace: string,
  names: CandidateNames & { readonly candidates?: CandidateNames },
): Promise<string[]> {
  const { client, accessPolicies, rateLimitPolicies } = lookups;
  const { accessPolicy = null, rateLimitPolicy = null } = names.candidates ?? {};
  const untried = 'a candidate is tried only when';
  const warnings = await Promise.all([
    missing(lookups.client, ACCESS_POLICIES, lookups.accessPolicies, namespace, names.accessPolicy),
    missing(lookups.client, RATE_LIMIT_POLICIES, lookups.rateLimitPolicies, namespace, names.rateLimitPolicy),
    missing(client, ACCESS_POLICIES, accessPolicies, namespace, accessPolicy, untried),
    missing(client, RATE_LIMIT_POLICIES, rateLimitPolicies, namespace, rateLimitPolicy, untried),
  ]);
  return warnings.flat();
}

async function missing(
  client: Pick<KubeClient, 'get'>,
  type: ResourceType<CustomResource>,
  cache: ObjectCache<CustomResource>,
  namespace: string,
  name: string | null,
  meanwhile = 'pods stay unready until',
): Promise<string[]> {
  if (name === null || cache.get({ namespace, name }) !== undefined) return [];
  const unsure = () => undefined;
  if ((await client.get(type, { namespace, name }).catch(unsure)) !== null) return [];
  const known = [...cache.inNamespace(namespace)].map(({ metadata }) => metadata.name).sort();
  const word = unknownWord(name, known, `${type.plural} in it`);
  return [`PolicyNotFound: ${meanwhile} namespace ${namespace} has the ${type.kind} ${word}`];
}

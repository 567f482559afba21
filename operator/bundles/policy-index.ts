import { credentialSecretsOf, keySetRefsOf } from '../../policy/api/access-policy.ts';
import { egressKeySetsOf, egressSecretsOf } from '../../policy/api/egress.ts';
import { outputsSecretName } from '../../policy/api/names.ts';
import { mayUse } from '../../policy/compile/compile-authentication.ts';
import type { ObjectCache } from '../kube/kube-client.ts';
import type { KubeObject, ObjectKey, Secret } from '../kube/objects.ts';
import type { CustomResource } from '../resources.ts';
import type { PolicyBundleKind } from '../workloads/enforcement.ts';
import { nameOf } from '../workloads/pod-view.ts';
import { policyOfSecret } from './bundle-secret.ts';
import { defaultStoreKey, type ReferenceSources, resourceIn } from './gather-references.ts';

/** What is to be watched for the policies of one kind. */
export interface WatchedCaches {
  readonly policies: ObjectCache<CustomResource>;
  readonly sources: ReferenceSources;
  readonly bundles: ObjectCache<Secret>;
}

/**
 * Calls `enqueue` with `namespace/name` of every policy of that kind, now and whenever something that its bundle is made of
 * changes: the policy, its bundle, key sets and their keys, Secrets, labels of its namespace. Returns what ends that.
 * Acknowledgements are their own source's to announce.
 */
export function watchPolicies(
  kind: PolicyBundleKind,
  caches: WatchedCaches,
  enqueue: (key: string) => void,
): () => void {
  const { policies, sources, bundles } = caches;
  const uses = new Map<string, readonly string[]>();
  const users = new Map<string, Set<string>>();

  function index(key: string, used: readonly string[]): void {
    for (const id of uses.get(key) ?? []) {
      const set = users.get(id);
      set?.delete(key);
      if (set?.size === 0) users.delete(id);
    }
    if (used.length === 0) uses.delete(key);
    else uses.set(key, used);
    for (const id of used) {
      const set = users.get(id) ?? new Set();
      users.set(id, set.add(key));
    }
  }

  function policyChanged(now: CustomResource | undefined, before: CustomResource | undefined): void {
    const object = now ?? before;
    if (object === undefined) return;
    const key = nameOf(object);
    index(key, now === undefined ? [] : usedBy(now, sources));
    enqueue(key);
  }

  function enqueueUsers<T extends KubeObject>(type: string, cache: ObjectCache<T>): () => void {
    return cache.onChange((now, before) => {
      const object = now ?? before;
      for (const key of (object && users.get(`${type} ${nameOf(object)}`)) ?? []) enqueue(key);
    });
  }

  const unsubscribe = [
    policies.onChange(policyChanged),
    enqueueUsers('SigningKeySet', sources.keySets),
    enqueueUsers('Secret', sources.ownSecrets),
    enqueueUsers('Secret', sources.referableSecrets),
    enqueueUsers('ConfigMap', sources.referableConfigMaps),
    enqueueUsers('Namespace', sources.namespaces),
    bundles.onChange((now, before) => {
      const secret = now ?? before;
      for (const each of kind === 'Access' ? (['Access', 'Issuer'] as const) : (['Limits'] as const)) {
        const policy = secret && policyOfSecret(each, secret.metadata.name);
        if (policy) enqueue(nameOf({ metadata: { ...secret.metadata, name: policy } }));
      }
    }),
  ];
  for (const policy of policies.all()) policyChanged(policy, undefined);
  return () => {
    for (const end of unsubscribe) end();
  };
}

/** A key of a work queue, as the object it names. */
export function objectKeyOf(key: string): ObjectKey & { readonly namespace: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** Names of Secrets that a policy refers to, in its own namespace. */
export function secretsUsedBy(policy: CustomResource): readonly string[] {
  const resource = resourceIn(policy);
  if (resource === undefined || resource.kind === 'SigningKeySet') return [];
  const authorities =
    resource.kind === 'AccessPolicy'
      ? [
          ...resource.spec.authentication.jwt.flatMap(({ jwks }) => jwks?.caSecretRef?.name ?? []),
          ...credentialSecretsOf(resource),
          ...[resource.spec.tokens?.login?.credentials.htpasswdSecretRef?.name ?? []].flat(),
        ]
      : egressSecretsOf(resource.spec.egress);
  return [...(resource.spec.store === undefined ? [] : [resource.spec.store.redis.secretRef.name]), ...authorities];
}

/** `namespace/name` of the Fernet key sets that a policy's credentials are encrypted with: decrypted here, so that no pod waits for them. */
function decryptedBy(policy: CustomResource): readonly string[] {
  const resource = resourceIn(policy);
  if (resource?.kind !== 'RateLimitPolicy') return [];
  return egressKeySetsOf(resource.spec.egress).map((name) => `${resource.metadata.namespace}/${name}`);
}

/** Names of ConfigMaps that hold schemas of a policy, in its own namespace. */
function schemasUsedBy(policy: CustomResource): readonly string[] {
  const resource = resourceIn(policy);
  if (resource?.kind !== 'AccessPolicy') return [];
  return [...new Set(resource.spec.rules.flatMap(({ body }) => body?.schemaRef?.configMap.name ?? []))];
}

/** Whether a policy says where its counters live. */
function namesStore(policy: CustomResource): boolean {
  const resource = resourceIn(policy);
  return resource !== undefined && resource.kind !== 'SigningKeySet' && resource.spec.store !== undefined;
}

/** `namespace/name` of the key sets whose keys a policy verifies with or issues tokens by. */
export function keySetsUsedBy(policy: CustomResource): readonly string[] {
  const resource = resourceIn(policy);
  if (resource?.kind !== 'AccessPolicy') return [];
  return keySetRefsOf(resource).map(({ namespace, name }) => `${namespace ?? resource.metadata.namespace}/${name}`);
}

/** Those of them that it may use: a policy of one namespace must not hold up the keys of another by naming them. */
export function keySetsPermittedTo(policy: CustomResource, sources: ReferenceSources): readonly string[] {
  const { namespace = '' } = policy.metadata;
  const labels = sources.namespaces.get({ name: namespace })?.metadata.labels ?? {};
  return keySetsUsedBy(policy).filter((keySet) => {
    const object = sources.keySets.get(objectKeyOf(keySet));
    const resource = object && resourceIn(object);
    return resource?.kind === 'SigningKeySet' && mayUse(resource, namespace, labels);
  });
}

function usedBy(policy: CustomResource, sources: ReferenceSources): string[] {
  const { namespace = '' } = policy.metadata;
  const secrets = secretsUsedBy(policy).map((name) => ({ namespace, name }));
  const store = namesStore(policy) ? null : defaultStoreKey(sources);
  const keySets = [...keySetsUsedBy(policy), ...decryptedBy(policy)];
  const outputs = keySets.map((keySet) => {
    const { namespace: home, name } = objectKeyOf(keySet);
    return { namespace: sources.namespace, name: outputsSecretName(home, name) };
  });
  // Labels of a namespace only decide about key sets of others.
  const crosses = keySets.some((keySet) => objectKeyOf(keySet).namespace !== namespace);
  return [
    ...(crosses ? [`Namespace ${namespace}`] : []),
    ...schemasUsedBy(policy).map((name) => `ConfigMap ${namespace}/${name}`),
    ...[...secrets, ...outputs, ...(store === null ? [] : [store])].map(
      (secret) => `Secret ${nameOf({ metadata: secret })}`,
    ),
    ...keySets.map((keySet) => `SigningKeySet ${keySet}`),
  ];
}

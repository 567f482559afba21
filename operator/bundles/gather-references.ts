import { type Decoded, decodeResource } from '../../policy/api/decode.ts';
import type { Resource } from '../../policy/api/kinds.ts';
import { LABELS, outputsSecretName } from '../../policy/api/names.ts';
import { isRedisUrl } from '../../policy/compile/compile-connection.ts';
import type { ReferencedConfigMap } from '../../policy/compile/find-schema.ts';
import type { ReferencedSecret, References, ResolvedKeySet } from '../../policy/compile/references.ts';
import { decodeOutputs } from '../../policy/keys/outputs-document.ts';
import type { OperatorConfig } from '../config.ts';
import type { ObjectCache } from '../kube/kube-client.ts';
import type { ConfigMap, Namespace, ObjectKey, Secret } from '../kube/objects.ts';
import type { CustomResource } from '../resources.ts';
import { OUTPUTS_FILE } from '../signing-keys/secret-key-set-store.ts';
import { memoised } from './memoised.ts';

/** What policies refer to, as caches hold it. */
export interface ReferenceSources {
  readonly keySets: ObjectCache<CustomResource>;
  /** Secrets of the operator's namespace: at least outputs of key sets and the default store. */
  readonly ownSecrets: ObjectCache<Secret>;
  /** Secrets with the label `allow-reference: "true"`. */
  readonly referableSecrets: ObjectCache<Secret>;
  /** ConfigMaps with that label. */
  readonly referableConfigMaps: ObjectCache<ConfigMap>;
  readonly namespaces: ObjectCache<Namespace>;
  /** The operator's namespace. */
  readonly namespace: string;
  readonly defaults: Pick<OperatorConfig['defaults'], 'storeSecret' | 'clientIp'>;
}

/** All that a policy of `namespace` may refer to. */
export function gatherReferences(sources: ReferenceSources, namespace: string): References {
  const home = sources.namespaces.get({ name: namespace });
  return {
    keySets: keySets(sources),
    secrets: [...sources.referableSecrets.inNamespace(namespace)].filter(isReferable).map(referencedSecret),
    configMaps: [...sources.referableConfigMaps.inNamespace(namespace)].map(referencedConfigMap),
    namespaces: home === undefined ? [] : [{ name: namespace, labels: home.metadata.labels ?? {} }],
    defaultStore: defaultStore(sources).url,
    defaultClientIp: sources.defaults.clientIp,
    storeOverride: null,
  };
}

/** The URL of the operator's own store; null: it has none, or `problem` says why it is of no use. */
export function defaultStore(sources: ReferenceSources): { url: string | null; problem: string | null } {
  const at = defaultStoreKey(sources);
  if (at === null) return { url: null, problem: null };
  const secret = sources.ownSecrets.get(at);
  const url = secret && referencedSecret(secret).data['url']?.trim();
  if (url !== undefined && isRedisUrl(url)) return { url, problem: null };
  const what = secret === undefined ? 'does not exist' : 'has no key url with a redis:// or rediss:// URL';
  const problem = `Secret ${at.namespace}/${at.name}, the operator's own store, ${what}; write it, or name a store in the policy`;
  return { url: null, problem };
}

/** The Secret of the operator's own store; null: it has none. */
export function defaultStoreKey({ namespace, defaults }: ReferenceSources): ObjectKey | null {
  return defaults.storeSecret === null ? null : { namespace, name: defaults.storeSecret };
}

/** A Secret as compiling sees it. */
export const referencedSecret = memoised(
  ({ metadata, data }: Secret): ReferencedSecret => ({
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    labels: metadata.labels ?? {},
    data: Object.fromEntries(
      Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
    ),
  }),
);

const referencedConfigMap = memoised(
  ({ metadata, data = {} }: ConfigMap): ReferencedConfigMap => ({
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    labels: metadata.labels ?? {},
    data,
  }),
);

/** Whether and how an object of one of our kinds can be read. */
export const decoded = memoised((object: CustomResource): Decoded => decodeResource(object));

/** The resource, also one with problems when it has the shape of its type; undefined: not even that. */
export function resourceIn(object: CustomResource): Resource | undefined {
  const found = decoded(object);
  return 'resource' in found ? found.resource : found.faulty;
}

/** What we wrote is never read through a policy, whatever labels it was given. */
function isReferable({ metadata }: Secret): boolean {
  return metadata.labels?.[LABELS.holds] === undefined;
}

function keySets({ keySets, ownSecrets, namespace }: ReferenceSources): ResolvedKeySet[] {
  return [...keySets.all()].flatMap((object): ResolvedKeySet[] => {
    const resource = resourceIn(object);
    if (resource?.kind !== 'SigningKeySet') return [];
    const { metadata } = resource;
    const secret = ownSecrets.get({ namespace, name: outputsSecretName(metadata.namespace, metadata.name) });
    return [{ resource, outputs: secret === undefined ? null : outputsIn(secret) }];
  });
}

/** The outputs of a key set in their Secret. Null: damaged, which is the key set's to report; its policies wait as for the first key. */
export const outputsIn = memoised((secret: Secret): ResolvedKeySet['outputs'] => {
  try {
    return decodeOutputs(referencedSecret(secret).data[OUTPUTS_FILE] ?? '');
  } catch {
    return null;
  }
});

import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import { LABELS } from '../policy/api/names.ts';
import { BUNDLE_FILE } from '../policy/bundle/format.ts';
import { isSigned, policyOfSecret, readBundle } from './bundles/bundle-secret.ts';
import type { HttpsKubeClient } from './kube/https-kube-client.ts';
import type { Selection } from './kube/kube-client.ts';
import type { KubeMetrics } from './kube/kube-metrics.ts';
import {
  CONFIG_MAPS,
  type ConfigMap,
  type KubeObject,
  NAMESPACES,
  NODES,
  type Node,
  type ObjectMeta,
  PODS,
  type ResourceType,
  SECRETS,
  SERVICES,
  type Secret,
  type Service,
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

/** What every replica follows: all that webhooks decide by. `namespace`: the operator's own; `bundleKey`: public, of the writer of bundles. */
export function sharedCaches({ client, log, metrics }: CacheParts, namespace: string, bundleKey: KeyObject) {
  const reflector = <T extends KubeObject>(type: ResourceType<T>, selection: Selection = {}, keep?: (object: T) => T) =>
    new Reflector({ client, type, selection, log, metrics, ...(keep && { keep }) });
  return {
    namespaces: reflector(NAMESPACES),
    services: reflector(SERVICES, {}, serviceView),
    keySets: reflector(SIGNING_KEY_SETS),
    accessPolicies: reflector(ACCESS_POLICIES),
    rateLimitPolicies: reflector(RATE_LIMIT_POLICIES),
    // Releases of helm are large.
    ownSecrets: reflector(SECRETS, { namespace, fieldSelector: 'type!=helm.sh/release.v1' }, withoutKeyring),
    referableSecrets: reflector(SECRETS, { labelSelector: `${LABELS.allowReference}=true` }, referableView),
    referableConfigMaps: reflector(
      CONFIG_MAPS,
      { labelSelector: `${LABELS.allowReference}=true` },
      referableConfigMapView,
    ),
    bundles: reflector(SECRETS, { labelSelector: `${LABELS.holds}=bundle` }, (secret) => bundleView(secret, bundleKey)),
  } satisfies Reflectors;
}

/** What only the leader follows: the workloads, and what apps read of key sets. */
export function leaderCaches({ client, log, metrics }: CacheParts) {
  return {
    pods: new Reflector({ client, type: PODS, keep: podView, log, metrics }),
    nodes: new Reflector({ client, type: NODES, keep: nodeView, log, metrics }),
    networkPolicies: new Reflector({ client, type: NETWORK_POLICIES, log, metrics }),
    keySetExports: new Reflector({
      client,
      type: SECRETS,
      selection: { labelSelector: `${LABELS.holds}=key-set-exports` },
      keep: withoutData,
      log,
      metrics,
    }),
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

// Whoever may write Services or Secrets in any namespace decides how many there are and how large: only what is read is kept.
const OURS = 'portcullis.dev/';
const MOST_CHARACTERS = 16_384;
/** Base64, of all that one Secret holds: 192 KiB. What has more is kept without any of it, and compiling says so. */
const MOST_REFERRED = 262_144;
const MOST_OWNERS = 8;
const MOST_FOREIGN_CHARACTERS = 4_096;

/** What coverage and the guard look at. */
export function serviceView({ metadata, spec, ...service }: Service): Service {
  const { type, clusterIP, selector, ports } = spec ?? {};
  return {
    ...typeOf(service),
    metadata: metadataView(metadata),
    spec: {
      ...(type && { type }),
      ...(clusterIP && { clusterIP }),
      ...(selector && { selector }),
      ...(ports && { ports }),
    },
  };
}

/** What policies can refer to. Which keys they read is theirs to say: whoever set the label gave them all. */
export function referableView({ metadata, data = {}, ...secret }: Secret): Secret {
  const characters = Object.entries(data).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  return { ...typeOf(secret), metadata: metadataView(metadata), data: characters <= MOST_REFERRED ? data : {} };
}

/** The schemas that policies can refer to; of a larger one nothing is kept. */
export function referableConfigMapView({ metadata, data = {}, ...configMap }: ConfigMap): ConfigMap {
  const characters = Object.entries(data).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  return { ...typeOf(configMap), metadata: metadataView(metadata), data: characters <= MOST_REFERRED ? data : {} };
}

/** A bundle that `publicKey` signed; of anything else the beginning, which says why it is none. */
export function bundleView({ metadata, data, type, immutable, ...secret }: Secret, publicKey: KeyObject): Secret {
  const file = data?.[BUNDLE_FILE];
  const isOurs = isSignedAtItsPlace({ metadata, ...(data && { data }) }, publicKey);
  return {
    ...typeOf(secret),
    metadata: metadataView(metadata),
    ...(type && { type }),
    ...(immutable !== undefined && { immutable }),
    ...(file !== undefined && { data: { [BUNDLE_FILE]: isOurs ? file : file.slice(0, MOST_FOREIGN_CHARACTERS) } }),
  };
}

function isSignedAtItsPlace(secret: Secret, publicKey: KeyObject): boolean {
  const { namespace = '', name: secretName } = secret.metadata;
  return (['Access', 'Limits', 'Issuer'] as const).some((kind) => {
    const name = policyOfSecret(kind, secretName);
    return name !== null && isSigned(readBundle(secret, { kind, namespace, name }, publicKey));
  });
}

function typeOf({
  apiVersion,
  kind,
}: KubeObject | Omit<KubeObject, 'metadata'>): Pick<KubeObject, 'apiVersion' | 'kind'> {
  return { ...(apiVersion && { apiVersion }), ...(kind && { kind }) };
}

function metadataView({ labels, annotations, ownerReferences, finalizers: _, ...metadata }: ObjectMeta): ObjectMeta {
  const ours = (entries: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      Object.entries(entries).flatMap(([key, value]) =>
        key.startsWith(OURS) ? [[key, value.slice(0, MOST_CHARACTERS)] as const] : [],
      ),
    );
  return {
    ...metadata,
    ...(labels && { labels: ours(labels) }),
    ...(annotations && { annotations: ours(annotations) }),
    ...(ownerReferences && { ownerReferences: ownerReferences.slice(0, MOST_OWNERS) }),
  };
}

/** Keyrings and escrows are large, secret, and read live. */
function withoutKeyring(secret: Secret): Secret {
  const holds = secret.metadata.labels?.[LABELS.holds];
  if (holds !== 'keyring' && holds !== 'key-set-escrow') return secret;
  const { data: _, ...rest } = secret;
  return rest;
}

/** That it changed is all that is looked at. */
function withoutData({ metadata, ...secret }: Secret): Secret {
  return { ...typeOf(secret), metadata: metadataView(metadata) };
}

function nodeView({ metadata: { name, uid, resourceVersion }, status }: Node): Node {
  const conditions = status?.conditions?.filter(({ type }) => type === 'Ready') ?? [];
  return {
    metadata: { name, ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) },
    status: { conditions },
  };
}

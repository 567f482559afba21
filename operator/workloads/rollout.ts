import { OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import type { Clock } from '../kube/clock.ts';
import type { KubeClient } from '../kube/kube-client.ts';
import type { KubeObject, Pod, ResourceType } from '../kube/objects.ts';

/** What makes pods from a template. */
export interface PodTemplateOwner extends KubeObject {
  readonly spec?: {
    readonly template?: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> } };
  };
}

const REPLICA_SETS: ResourceType<KubeObject> = apps('ReplicaSet', 'replicasets');
const RESTARTABLE: readonly ResourceType<PodTemplateOwner>[] = [
  apps('Deployment', 'deployments'),
  apps('StatefulSet', 'statefulsets'),
  apps('DaemonSet', 'daemonsets'),
];

function apps<T extends KubeObject>(kind: string, plural: string): ResourceType<T> {
  return { apiVersion: 'apps/v1', kind, plural, namespaced: true };
}

const MAX_REMEMBERED = 5_000;
/** Between two restarts of one owner, and of any two: a lost key would else restart a whole cluster at once. */
const OWNER_INTERVAL_MS = 60_000;
const INTERVAL_MS = 5_000;

/** The command that restarts the pods of an owner, or what to do where there is none. */
export function restartCommand({ kind, metadata }: KubeObject): string {
  const { name, namespace } = metadata;
  if (isRestartable(kind)) return `kubectl rollout restart ${kind!.toLowerCase()}/${name} -n ${namespace}`;
  if (kind === 'Job') return 'only a new Job gets it';
  return `delete the pods of ${kind} ${name} and let them be created again`;
}

/** Whether a kind of owner replaces its pods when its template changes. */
export function isRestartable(kind: string | undefined): boolean {
  return RESTARTABLE.some((type) => type.kind === kind);
}

/** Has an owner's pods replaced, as kubectl does it, `at` epoch milliseconds; nothing where it is not restartable. Throws KubeError. */
export async function restart(client: Pick<KubeClient, 'patch'>, owner: KubeObject, at: number): Promise<void> {
  const type = RESTARTABLE.find(({ kind }) => kind === owner.kind);
  if (type === undefined) return;
  const { name, namespace = '' } = owner.metadata;
  const annotations = { [OWN_ANNOTATIONS.restartedAt]: new Date(at).toISOString() };
  await client.patch(type, { namespace, name }, { spec: { template: { metadata: { annotations } } } });
}

/** Finds out who made a pod: the Deployment for a ReplicaSet, else the controller; the pod itself where there is none. */
export function ownerFinder(client: Pick<KubeClient, 'get'>): (pod: Pod) => Promise<KubeObject> {
  const known = new Map<string, KubeObject>();
  return async (pod) => {
    const direct = controllerOf(pod);
    if (direct === null) return { apiVersion: 'v1', kind: 'Pod', metadata: pod.metadata };
    if (direct.kind !== REPLICA_SETS.kind) return direct;
    const { name, namespace = '', uid = '' } = direct.metadata;
    const remembered = known.get(uid);
    if (remembered) return remembered;
    const replicaSet = await client.get(REPLICA_SETS, { namespace, name });
    const owner = (replicaSet && controllerOf(replicaSet)) ?? direct;
    if (known.size >= MAX_REMEMBERED) known.clear();
    if (replicaSet !== null) known.set(uid, owner);
    return owner;
  };
}

/** The controller in an object's ownerReferences, as an object with nothing but its identity; null: none. */
export function controllerOf({ metadata }: KubeObject): KubeObject | null {
  const reference = metadata.ownerReferences?.find(({ controller }) => controller);
  if (!reference) return null;
  const { apiVersion, kind, name, uid } = reference;
  return { apiVersion, kind, metadata: { name, uid, ...(metadata.namespace && { namespace: metadata.namespace }) } };
}

/** What became of a restart. `Later`: come again after that many milliseconds. */
export type RestartOutcome = { readonly outcome: 'Restarted' | 'Done' | 'Rolling' } | { readonly laterMs: number };

/**
 * Restarts owners for `rollout: Auto` as kubectl does, by an annotation of the pod template. Once for what is wanted of the pods:
 * one that comes out of a restart and still differs is not restarted again (`Done`); nor is a pod that an earlier change of the
 * template replaces already (`Rolling`). Throws KubeError.
 */
export function createRestarter(
  client: Pick<KubeClient, 'get' | 'patch'>,
  clock: Clock,
): (owner: KubeObject, pod: Pod, wanted: string) => Promise<RestartOutcome> {
  /** By owner: what its last restart was to bring. */
  const restartedFor = new Map<string, string>();
  let lastAt = Number.NEGATIVE_INFINITY;

  return async (owner, pod, wanted) => {
    const type = RESTARTABLE.find(({ kind }) => kind === owner.kind);
    if (type === undefined) return { outcome: 'Done' };
    const { name, namespace = '', uid = '' } = owner.metadata;
    const now = await client.get(type, { namespace, name });
    const annotation = OWN_ANNOTATIONS.restartedAt;
    const restartedAt = now?.spec?.template?.metadata?.annotations?.[annotation];
    if (now === null || restartedAt !== pod.metadata.annotations?.[annotation]) return { outcome: 'Rolling' };
    if (restartedFor.get(uid) === wanted) return { outcome: 'Done' };

    const sinceOwner = clock.epoch() - (Date.parse(restartedAt ?? '') || 0);
    const laterMs = Math.max(OWNER_INTERVAL_MS - sinceOwner, lastAt + INTERVAL_MS - clock.now());
    if (laterMs > 0) return { laterMs };
    lastAt = clock.now();
    if (restartedFor.size >= MAX_REMEMBERED) restartedFor.clear();
    restartedFor.set(uid, wanted);
    await restart(client, owner, clock.epoch());
    return { outcome: 'Restarted' };
  };
}

import { isDeepStrictEqual } from 'node:util';
import { type KubeClient, KubeError } from '../kube/kube-client.ts';
import type { Condition, ResourceType } from '../kube/objects.ts';
import type { CommonStatus, CustomResource } from '../resources.ts';

/** A condition as a controller finds it: without since when, and about which generation. */
export type Found = Omit<Condition, 'lastTransitionTime' | 'observedGeneration'>;

/** What a controller found of one object: everything that its status is to say. */
export type FoundStatus<Status extends CommonStatus> = Omit<Status, 'conditions' | 'observedGeneration'> & {
  /** Each is about the generation of the object that was looked at. */
  readonly conditions: readonly Found[];
};

/** A condition that is True. */
export function yes(type: string, reason: string, message: string): Found {
  return { type, status: 'True', reason, message };
}

/** A condition that is False. */
export function no(type: string, reason: string, message: string): Found {
  return { type, status: 'False', reason, message };
}

/**
 * The conditions with one of them set, in their order. lastTransitionTime is `now` (epoch milliseconds) when the status is
 * another than before, else it stays (Kubernetes' API conventions).
 */
export function setCondition(
  previous: readonly Condition[] | undefined,
  found: Omit<Condition, 'lastTransitionTime'>,
  now: number,
): Condition[] {
  const conditions = [...(previous ?? [])];
  const index = conditions.findIndex(({ type }) => type === found.type);
  const before = conditions[index];
  const lastTransitionTime =
    before?.status === found.status ? before.lastTransitionTime : `${new Date(now).toISOString().slice(0, 19)}Z`;
  conditions.splice(index === -1 ? conditions.length : index, 1, { ...found, lastTransitionTime });
  return conditions;
}

/**
 * Applies to `object`'s /status what was found, unless it says so already. Returns whether it was written; an object that is
 * gone meanwhile is not. Throws KubeError.
 */
export async function writeStatus<Status extends CommonStatus>(
  client: Pick<KubeClient, 'apply'>,
  type: ResourceType<CustomResource<Status>>,
  object: CustomResource<Status>,
  found: FoundStatus<Status>,
  now: number,
): Promise<boolean> {
  const { name, namespace, generation } = object.metadata;
  const about = generation === undefined ? {} : { observedGeneration: generation };
  const conditions = found.conditions.reduce<readonly Condition[]>(
    (set, condition) => setCondition(set, { ...condition, ...about }, now),
    object.status?.conditions ?? [],
  );
  const status = { ...found, ...about, conditions } as unknown as Status;
  if (isDeepStrictEqual(status, object.status)) return false;
  const { apiVersion, kind } = type;
  const metadata = namespace === undefined ? { name } : { namespace, name };
  try {
    await client.apply(type, { apiVersion, kind, metadata, status }, 'status');
    return true;
  } catch (error) {
    if (error instanceof KubeError && error.reason === 'NotFound') return false;
    throw error;
  }
}

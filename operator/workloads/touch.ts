import { OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import type { Clock } from '../kube/clock.ts';
import { type KubeClient, KubeError } from '../kube/kube-client.ts';
import { PODS, type Pod, type PodCondition } from '../kube/objects.ts';
import { nameOf } from './pod-view.ts';

/** What is to be said of a pod; one of each type. */
export type FoundPodCondition = Required<Pick<PodCondition, 'type' | 'status' | 'reason' | 'message'>>;

/** What is done to the pods of a cluster through pods/status. */
export interface PodPatcher {
  /** Changes an annotation, so that the kubelet looks at the pod's Secrets at once; what waits already is not put again. */
  touch(pod: Pod): void;
  /** Sets a condition where it differs from what the pod has or was given last. */
  setCondition(pod: Pod, condition: FoundPodCondition): void;
  stop(): void;
}

/** What a patcher works with. */
export interface PodPatcherParts {
  readonly client: Pick<KubeClient, 'patch'>;
  readonly clock: Clock;
  /** Most patches a second. */
  readonly perSecond: number;
  /** Whether a touch that waited is still of use. */
  readonly isTouchNeeded: (pod: Pod) => boolean;
  /** A patch failed: to be logged. */
  readonly onFault: (pod: string, error: unknown) => void;
}

interface Patch {
  readonly pod: Pod;
  touch: boolean;
  readonly conditions: Map<string, FoundPodCondition>;
  failures: number;
  /** The clock's milliseconds. */
  notBefore: number;
}

const TICK_MS = 20;
const MAX_AT_ONCE = 64;
const RETRY_MS = 1_000;
const MAX_FAILURES = 5;

/**
 * Patches pods at a bounded rate; what is asked of a pod while it waits goes out as one patch, touches before conditions.
 * A patch names the pod's uid, so that another pod of the same name is left alone. Never throws.
 */
export function createPodPatcher(parts: PodPatcherParts): PodPatcher {
  const { client, clock, perSecond } = parts;
  /** By pod. Those in `touches` go first. */
  const touches = new Map<string, Patch>();
  const others = new Map<string, Patch>();
  /** Conditions as given last to pods whose change has not come back through the watch. */
  const given = new WeakMap<Pod, Map<string, FoundPodCondition>>();
  let cancel: (() => void) | null = null;
  let stopped = false;
  /** Pods with a patch on its way: the next one waits, so that the older never comes last. */
  const sending = new Set<string>();
  /** Patches that may go now; a little can be saved up. */
  let budget = 1;
  let filledAt = clock.now();

  function patchOf(pod: Pod): Patch {
    const name = nameOf(pod);
    const waiting = touches.get(name) ?? others.get(name);
    if (waiting && waiting.pod.metadata.uid === pod.metadata.uid) return waiting;
    touches.delete(name);
    const fresh = { pod, touch: false, conditions: new Map(), failures: 0, notBefore: 0 };
    others.set(name, fresh);
    return fresh;
  }

  function schedule(): void {
    if (cancel === null && !stopped && touches.size + others.size > 0) cancel = clock.after(TICK_MS, sendSome);
  }

  function sendSome(): void {
    cancel = null;
    const now = clock.now();
    budget = Math.min(budget + ((now - filledAt) * perSecond) / 1_000, Math.max(1, perSecond / 20));
    filledAt = now;
    for (const queue of [touches, others]) {
      for (const [name, patch] of queue) {
        if (budget < 1 || sending.size >= MAX_AT_ONCE) break;
        if (patch.notBefore > now || sending.has(name)) continue;
        queue.delete(name);
        if (patch.touch && !parts.isTouchNeeded(patch.pod)) patch.touch = false;
        if (!patch.touch && patch.conditions.size === 0) continue;
        budget--;
        void send(name, patch);
      }
    }
    schedule();
  }

  async function send(name: string, patch: Patch): Promise<void> {
    const { namespace = '' } = patch.pod.metadata;
    sending.add(name);
    try {
      await client.patch(PODS, { namespace, name: patch.pod.metadata.name }, bodyOf(patch, clock.epoch()), {
        subresource: 'status',
        strategic: true,
      });
    } catch (error) {
      // NotFound, Conflict: it is gone, or another of that name is there.
      if (error instanceof KubeError && (error.reason === 'NotFound' || error.reason === 'Conflict')) return;
      parts.onFault(name, error);
      const mayHelp = error instanceof KubeError && (error.status === 0 || error.status === 429 || error.status >= 500);
      if (mayHelp && patch.failures < MAX_FAILURES) again(patch, error.retryAfterMs ?? RETRY_MS * 2 ** patch.failures);
    } finally {
      sending.delete(name);
    }
  }

  /** Puts a patch back; what was asked of the pod meanwhile is newer. */
  function again(patch: Patch, afterMs: number): void {
    const name = nameOf(patch.pod);
    const newer = touches.get(name) ?? others.get(name);
    if (newer && newer.pod.metadata.uid !== patch.pod.metadata.uid) return;
    const waiting = patchOf(patch.pod);
    waiting.failures = patch.failures + 1;
    waiting.notBefore = clock.now() + afterMs;
    for (const [type, condition] of patch.conditions) {
      if (!waiting.conditions.has(type)) waiting.conditions.set(type, condition);
    }
    if (patch.touch) prefer(waiting);
    schedule();
  }

  function prefer(patch: Patch): void {
    patch.touch = true;
    const name = nameOf(patch.pod);
    others.delete(name);
    touches.set(name, patch);
  }

  return {
    touch(pod) {
      prefer(patchOf(pod));
      schedule();
    },
    setCondition(pod, condition) {
      const known =
        given.get(pod)?.get(condition.type) ?? pod.status?.conditions?.find(({ type }) => type === condition.type);
      if (isSame(known, condition)) return;
      if (!given.has(pod)) given.set(pod, new Map());
      given.get(pod)!.set(condition.type, condition);
      patchOf(pod).conditions.set(condition.type, condition);
      schedule();
    },
    stop() {
      stopped = true;
      cancel?.();
    },
  };
}

function isSame(known: Partial<FoundPodCondition> | undefined, found: FoundPodCondition): boolean {
  return known?.status === found.status && known.reason === found.reason && known.message === found.message;
}

function bodyOf({ pod, touch, conditions }: Patch, now: number): object {
  const time = new Date(now).toISOString();
  const since = ({ type, status }: FoundPodCondition): string => {
    const before = pod.status?.conditions?.find((condition) => condition.type === type);
    return (before?.status === status ? before.lastTransitionTime : undefined) ?? `${time.slice(0, 19)}Z`;
  };
  const list = Array.from(conditions.values(), (found) => ({ ...found, lastTransitionTime: since(found) }));
  const { uid } = pod.metadata;
  return {
    metadata: {
      ...(uid !== undefined && { uid }),
      ...(touch && { annotations: { [OWN_ANNOTATIONS.touched]: time } }),
    },
    ...(list.length > 0 && { status: { conditions: list } }),
  };
}

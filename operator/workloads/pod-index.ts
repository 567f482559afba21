import { OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import type { SidecarStatus } from '../../runtime/sidecar-status.ts';
import type { Injected } from '../injection/injected.ts';
import type { ObjectCache } from '../kube/kube-client.ts';
import type { Node, Pod } from '../kube/objects.ts';
import { type PolicyKey, policiesOf, policyId } from './enforcement.ts';
import { injectedOf, isCounted, isNodeReady, nameOf, sidecarStatusOf } from './pod-view.ts';

/** An injected pod, and what is known of its sidecar. */
export interface InjectedPod {
  /** `namespace/name`. */
  readonly name: string;
  /** As last seen. */
  pod: Pod;
  readonly injected: Injected;
  readonly policies: readonly PolicyKey[];
  counted: boolean;
  /** What its sidecar answered last since it started; null: nothing yet. */
  status: SidecarStatus | null;
  /** Why it did not answer when it was asked last; null: it did. */
  silent: string | null;
}

/** Told of changes of the index. */
export interface PodIndexListener {
  /** A pod appeared, was counted or not any more, or its sidecar started anew. */
  changed(pod: InjectedPod): void;
  removed(pod: InjectedPod): void;
}

/** The injected pods of a cluster, by policy. */
export class PodIndex {
  readonly #nodes: ObjectCache<Node>;
  readonly #listener: PodIndexListener;
  readonly #pods = new Map<string, InjectedPod>();
  readonly #byPolicy = new Map<string, Set<InjectedPod>>();
  readonly #byNode = new Map<string, Set<InjectedPod>>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(pods: ObjectCache<Pod>, nodes: ObjectCache<Node>, listener: PodIndexListener) {
    this.#nodes = nodes;
    this.#listener = listener;
    this.#unsubscribe = [
      pods.onChange((now, before) => this.#podChanged(now, before)),
      nodes.onChange((now, before) => this.#nodeChanged((now ?? before)!.metadata.name)),
    ];
    for (const pod of pods.all()) this.#podChanged(pod, undefined);
  }

  stop(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  get(name: string): InjectedPod | undefined {
    return this.#pods.get(name);
  }

  all(): Iterable<InjectedPod> {
    return this.#pods.values();
  }

  ofPolicy(policy: PolicyKey): Iterable<InjectedPod> {
    return this.#byPolicy.get(policyId(policy)) ?? [];
  }

  #podChanged(now: Pod | undefined, before: Pod | undefined): void {
    const known = this.#pods.get(nameOf((now ?? before)!));
    if (known && now && isSame(known.pod, now)) {
      this.#update(known, now);
      return;
    }
    if (known) this.#remove(known);
    const injected = now && injectedOf(now);
    if (now && injected) this.#add(now, injected);
  }

  #add(pod: Pod, injected: Injected): void {
    const policies = policiesOf(pod.metadata.namespace ?? '', injected);
    const state = { counted: false, status: null, silent: null };
    const added: InjectedPod = { name: nameOf(pod), pod, injected, policies, ...state };
    this.#pods.set(added.name, added);
    for (const policy of policies) addTo(this.#byPolicy, policyId(policy), added);
    this.#update(added, pod, true);
  }

  #remove(removed: InjectedPod): void {
    this.#pods.delete(removed.name);
    for (const policy of removed.policies) removeFrom(this.#byPolicy, policyId(policy), removed);
    removeFrom(this.#byNode, removed.pod.spec?.nodeName ?? '', removed);
    this.#listener.removed(removed);
  }

  #update(known: InjectedPod, pod: Pod, isNew = false): void {
    const { counted } = known;
    const restarted = processOf(known.pod) !== processOf(pod);
    const nodeName = pod.spec?.nodeName ?? '';
    if (isNew || known.pod.spec?.nodeName !== pod.spec?.nodeName) addTo(this.#byNode, nodeName, known);
    known.pod = pod;
    known.counted = isCounted(pod, isNodeReady(this.#nodes.get({ name: nodeName })));
    if (restarted) Object.assign(known, { status: null, silent: null });
    if (isNew || restarted || counted !== known.counted) this.#listener.changed(known);
  }

  #nodeChanged(nodeName: string): void {
    for (const known of this.#byNode.get(nodeName) ?? []) this.#update(known, known.pod);
  }
}

/** Whether it is the pod it was, with the same thing injected. */
function isSame(known: Pod, now: Pod): boolean {
  const [a, b] = [known.metadata, now.metadata];
  const { injected } = OWN_ANNOTATIONS;
  return a.uid === b.uid && a.annotations?.[injected] === b.annotations?.[injected];
}

/** Tells one process of the sidecar from the next. */
function processOf(pod: Pod): number {
  return sidecarStatusOf(pod)?.restartCount ?? 0;
}

function addTo(index: Map<string, Set<InjectedPod>>, key: string, pod: InjectedPod): void {
  const pods = index.get(key);
  if (pods) pods.add(pod);
  else index.set(key, new Set([pod]));
}

function removeFrom(index: Map<string, Set<InjectedPod>>, key: string, pod: InjectedPod): void {
  const pods = index.get(key);
  pods?.delete(pod);
  if (pods?.size === 0) index.delete(key);
}

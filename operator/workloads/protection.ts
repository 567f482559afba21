import { connect } from 'node:net';
import { POD_CONDITIONS } from '../../policy/api/names.ts';
import type { Reconcile } from '../kube/kube-client.ts';
import type { PolicyKey } from './enforcement.ts';
import type { InjectedPod } from './pod-index.ts';
import type { FoundPodCondition } from './touch.ts';

/** Dials a TCP port from the operator's pod; whether the connection was accepted. */
export type Dial = (address: string, port: number) => Promise<boolean>;

const DIAL_MS = 1_000;
const CHECK_MS = 10 * 60_000;
/** While something is open or not known, a change is looked for more often. */
const RECHECK_MS = 60_000;

/** Dials with a TCP handshake, 1 s at most; nothing is sent. */
export const dialTcp: Dial = (host, port) =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: DIAL_MS });
    const end = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.once('connect', () => end(true));
    socket.once('timeout', () => end(false));
    socket.once('error', () => end(false));
  });

/**
 * What the dials of a pod's own ports say of it; `answers`: whether its sidecar could be reached from here at all, without
 * which silence says nothing.
 */
export function protectedCondition(
  capture: InjectedPod['injected']['capture'],
  dials: readonly { readonly port: number; readonly open: boolean }[],
  answers: boolean,
): FoundPodCondition {
  const { protected: type } = POD_CONDITIONS;
  const reachable = dials.filter(({ open }) => open).map(({ port }) => port);
  if (reachable.length > 0) {
    const advice =
      'let the app listen on 127.0.0.1 only (portcullis.dev/capture: Bind does it, with bind-env where a variable says so), or annotate portcullis.dev/network-policy: Generate where the cluster enforces NetworkPolicies';
    const message = `${numbers(reachable)} answers on the pod's address, past the sidecar: ${advice}`;
    return { type, status: 'False', reason: 'AppPortOpen', message };
  }
  if (!answers)
    return {
      type,
      status: 'Unknown',
      reason: 'Unreachable',
      message: 'the operator cannot reach the pod, so nothing was found out',
    };
  if (capture === 'Bind')
    return {
      type,
      status: 'True',
      reason: 'Bind',
      message: "the app's ports on the pod's address are the sidecar's own",
    };
  const closed = numbers(dials.map(({ port }) => port));
  return {
    type,
    status: 'True',
    reason: 'AppPortClosed',
    message: `${closed} was dialled on the pod's address and is closed`,
  };
}

function numbers(ports: readonly number[]): string {
  return `${ports.length === 1 ? 'port' : 'each of the ports'} ${ports.join(', ')}`;
}

/** How the pods of a policy are protected, for its condition. */
export interface ProtectionSummary {
  readonly protected: number;
  /** Pods whose app port is open, sorted. */
  readonly exposed: readonly string[];
  /** Pods of which it is not known (yet), sorted. */
  readonly unknown: readonly string[];
}

/** What the check works with. */
export interface ProtectionParts {
  readonly pod: (name: string) => InjectedPod | undefined;
  readonly podsOf: (policy: PolicyKey) => Iterable<InjectedPod>;
  readonly dial: Dial;
  /** In [0, 1): spreads the checks. */
  readonly random: () => number;
  readonly onFound: (pod: InjectedPod, condition: FoundPodCondition) => void;
}

/** Finds out of each injected pod, by key `namespace/name`, whether its app can be reached past the sidecar. */
export class Protection {
  readonly #parts: ProtectionParts;
  readonly #found = new WeakMap<InjectedPod, FoundPodCondition>();

  constructor(parts: ProtectionParts) {
    this.#parts = parts;
  }

  /** Whether the pod is to be looked at now: it is counted, Ready and was not found protected or open yet. */
  isDue(pod: InjectedPod): boolean {
    return isReady(pod) && pod.status !== null && (this.#found.get(pod)?.status ?? 'Unknown') === 'Unknown';
  }

  readonly reconcile: Reconcile = async (key) => {
    const { pod: find, dial, random, onFound } = this.#parts;
    const pod = find(key);
    const address = pod?.pod.status?.podIP;
    // An app that does not listen yet is closed for the moment only.
    if (!pod || address === undefined || !isReady(pod)) return { afterMs: null };
    const ports = pod.injected.capture === 'Bind' ? [] : pod.injected.ports.map(({ port }) => port);
    const dials = await Promise.all(ports.map(async (port) => ({ port, open: await dial(address, port) })));
    const condition = protectedCondition(pod.injected.capture, dials, pod.status !== null && pod.silent === null);
    this.#found.set(pod, condition);
    onFound(pod, condition);
    return { afterMs: (condition.status === 'True' ? CHECK_MS : RECHECK_MS) * (0.75 + random() / 2) };
  };

  summary(policy: PolicyKey): ProtectionSummary {
    const exposed: string[] = [];
    const unknown: string[] = [];
    let count = 0;
    for (const pod of this.#parts.podsOf(policy)) {
      if (!pod.counted) continue;
      const status = this.#found.get(pod)?.status;
      if (status === 'True') count++;
      else (status === 'False' ? exposed : unknown).push(pod.pod.metadata.name);
    }
    return { protected: count, exposed: exposed.sort(), unknown: unknown.sort() };
  }
}

function isReady({ counted, pod }: InjectedPod): boolean {
  return (
    counted && (pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false)
  );
}

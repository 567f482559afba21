import type { Acknowledgement } from '../../policy/keys/step.ts';
import { type Clock, pause } from '../kube/clock.ts';
import type { ObjectCache } from '../kube/kube-client.ts';
import type { Node, Pod } from '../kube/objects.ts';
import type { FetchStatus } from './acknowledgement-fetch.ts';
import { nextRound } from './acknowledgement-rounds.ts';
import {
  type ExpectedBundle,
  type PolicyKey,
  policyId,
  runningBundle,
  type Standing,
  standingOf,
  whyNotReady,
} from './enforcement.ts';
import { type InjectedPod, PodIndex } from './pod-index.ts';

/** Whose picture changed. */
export interface ChangedPicture {
  readonly policies: readonly PolicyKey[];
  /** `namespace/name`. */
  readonly keySets: readonly string[];
}

/** What acknowledgements are gathered with. */
export interface AcknowledgementParts {
  readonly pods: ObjectCache<Pod>;
  readonly nodes: ObjectCache<Node>;
  readonly fetch: FetchStatus;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** `namespace/name` of the key sets whose keys an AccessPolicy verifies with. */
  readonly keySetsOf: (namespace: string, accessPolicy: string) => readonly string[];
  /** Called when a counted pod answered or failed to. */
  readonly onAsked: (pod: InjectedPod) => void;
  /** Called when what is known of a pod changed. */
  readonly onChange: (changed: ChangedPicture) => void;
  /** What an answer led to failed: to be logged. Answers are written by pods; none may end the process. */
  readonly onFault: (pod: string, error: unknown) => void;
}

/** A bundle that pods are to run, and since when (the clock's milliseconds). */
type Expectation = ExpectedBundle & { readonly since: number };

/** How a pod stands to what is expected of it. */
export interface ExpectedStanding {
  readonly standing: Standing;
  readonly serial: number;
  /** How long it was or has been expected of this pod. */
  readonly awaitedForMs: number;
}

/** When a pod is asked. */
interface Round {
  dueAt: number;
  readonly since: number;
  asking: boolean;
}

const MAX_AT_ONCE = 64;
/** Rounds are never closer than this, so that looking for pods that are due costs nothing. */
const ROUND_MS = 20;
/** Bundle serials follow the clock; who claims to have loaded one from further ahead lies, or its clock does. */
const MAX_AHEAD_MS = 86_400_000;

/** Asks the sidecars of counted pods what they enforce: quickly while a bundle is awaited, rarely at rest. */
export class Acknowledgements {
  readonly #parts: AcknowledgementParts;
  readonly #index: PodIndex;
  readonly #expected = new Map<string, Expectation>();
  readonly #rounds = new Map<InjectedPod, Round>();
  #asking = 0;
  #stopped = false;
  #timer: { readonly at: number; cancel(): void } | null = null;

  constructor(parts: AcknowledgementParts) {
    this.#parts = parts;
    this.#index = new PodIndex(parts.pods, parts.nodes, {
      changed: (pod) => this.#podChanged(pod),
      removed: (pod) => this.#podRemoved(pod),
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#index.stop();
    this.#timer?.cancel();
  }

  /** Resolves when every counted pod has been asked once, or after `ms` milliseconds: before, none seems to run anything. */
  async whenAsked(ms: number): Promise<void> {
    const { clock } = this.#parts;
    const deadline = clock.now() + ms;
    const isUnasked = ({ counted, status, silent }: InjectedPod) => counted && status === null && silent === null;
    while (!this.#stopped && clock.now() < deadline && [...this.#index.all()].some(isUnasked)) {
      await pause(clock, ROUND_MS);
    }
  }

  /** The pods that a policy was injected for, counted or not. */
  podsOf(policy: PolicyKey): Iterable<InjectedPod> {
    return this.#index.ofPolicy(policy);
  }

  /** The pod of that `namespace/name`, if it is injected. */
  pod(name: string): InjectedPod | undefined {
    return this.#index.get(name);
  }

  /** Says which bundle the pods of a policy are to run; saying the same again does nothing. */
  expect(policy: PolicyKey, { serial, hash }: ExpectedBundle): void {
    const id = policyId(policy);
    const known = this.#expected.get(id);
    if (known?.serial === serial && known.hash === hash) return;
    this.#expected.set(id, { serial, hash, since: this.#parts.clock.now() });
    for (const pod of this.#index.ofPolicy(policy)) this.#askSoon(pod);
  }

  /** Forgets a policy that is gone. */
  forget(policy: PolicyKey): void {
    this.#expected.delete(policyId(policy));
  }

  /** How a pod stands to the bundle expected of a policy; null: none is expected (yet). */
  standing(pod: InjectedPod, policy: PolicyKey): ExpectedStanding | null {
    const expected = this.#expected.get(policyId(policy));
    if (expected === undefined) return null;
    const since = Math.max(expected.since, this.#rounds.get(pod)?.since ?? 0);
    const standing = standingOf(policy, expected, pod.status, pod.silent);
    return { standing, serial: expected.serial, awaitedForMs: this.#parts.clock.now() - since };
  }

  /** One entry for each counted pod whose policy uses the key set, with the serial it said last; 0: none. */
  of(keySet: string): readonly Acknowledgement[] {
    const acknowledgements: Acknowledgement[] = [];
    for (const pod of this.#index.all()) {
      if (!pod.counted || !this.#keySetsOf(pod).includes(keySet)) continue;
      acknowledgements.push({ consumer: pod.name, serial: pod.status?.keySets[keySet] ?? 0 });
    }
    return acknowledgements;
  }

  /** The highest serial that any pod says it runs; 0: none. */
  highestSerial(policy: PolicyKey): number {
    const most = this.#parts.clock.epoch() + MAX_AHEAD_MS;
    const serials = Array.from(this.#index.ofPolicy(policy), (pod) => runningBundle(policy, pod.status)?.serial ?? 0);
    return Math.max(0, ...serials.filter((serial) => serial <= most));
  }

  #keySetsOf({ pod, injected }: InjectedPod): readonly string[] {
    return this.#parts.keySetsOf(pod.metadata.namespace ?? '', injected.accessPolicy);
  }

  #podChanged(pod: InjectedPod): void {
    this.#rounds.delete(pod);
    if (pod.counted) {
      const now = this.#parts.clock.now();
      this.#rounds.set(pod, { dueAt: now, since: now, asking: false });
      this.#wake(now);
    }
    this.#tell(pod);
  }

  #podRemoved(pod: InjectedPod): void {
    this.#rounds.delete(pod);
    this.#tell(pod);
  }

  #tell(pod: InjectedPod): void {
    this.#parts.onChange({ policies: pod.policies, keySets: this.#keySetsOf(pod) });
  }

  #askSoon(pod: InjectedPod): void {
    const round = this.#rounds.get(pod);
    if (!round) return;
    round.dueAt = this.#parts.clock.now();
    this.#wake(round.dueAt);
  }

  #wake(at: number): void {
    if (this.#stopped || (this.#timer && this.#timer.at <= at)) return;
    this.#timer?.cancel();
    const wait = Math.max(at - this.#parts.clock.now(), ROUND_MS);
    this.#timer = { at, cancel: this.#parts.clock.after(wait, () => this.#startRound()) };
  }

  #startRound(): void {
    this.#timer = null;
    const now = this.#parts.clock.now();
    let next = Number.POSITIVE_INFINITY;
    const due: [InjectedPod, Round][] = [];
    for (const [pod, round] of this.#rounds) {
      if (round.asking) continue;
      if (round.dueAt > now) next = Math.min(next, round.dueAt);
      else due.push([pod, round]);
    }
    // Who waits longest comes first: pods that never answer must not keep others waiting for ever.
    due.sort(([, one], [, other]) => one.dueAt - other.dueAt);
    for (const [pod, round] of due.slice(0, Math.max(0, MAX_AT_ONCE - this.#asking))) void this.#ask(pod, round);
    // Those that found no place are started by the next answer.
    if (next < Number.POSITIVE_INFINITY) this.#wake(next);
  }

  async #ask(pod: InjectedPod, round: Round): Promise<void> {
    round.asking = true;
    this.#asking++;
    round.dueAt = Number.POSITIVE_INFINITY;
    const before = pictureOf(pod);
    const answer = await this.#parts.fetch(pod.pod.status?.podIP ?? '', pod.injected.adminPort).then(
      (status) => ({ status, silent: null }),
      (error: Error) => ({ status: pod.status, silent: error.message }),
    );
    this.#asking--;
    round.asking = false;
    const { clock, random, onAsked, onFault } = this.#parts;
    // Else the pod went, or its sidecar started anew, and this was the answer of the one before.
    if (this.#rounds.get(pod) === round && !this.#stopped) {
      Object.assign(pod, answer);
      const next = clock.now() + nextRound(this.#awaitedFor(pod), random());
      round.dueAt = Math.min(round.dueAt, next);
      try {
        if (pictureOf(pod) !== before) this.#tell(pod);
        onAsked(pod);
      } catch (error) {
        onFault(pod.name, error);
      }
    }
    this.#wake(clock.now());
  }

  #awaitedFor(pod: InjectedPod): number | null {
    const awaited = pod.policies
      .map((policy) => this.standing(pod, policy))
      .filter((found) => found !== null && found.standing.kind !== 'Current')
      .map((found) => found!.awaitedForMs);
    if (whyNotReady(pod.status, pod.silent) !== null) {
      awaited.push(this.#parts.clock.now() - (this.#rounds.get(pod)?.since ?? 0));
    }
    return awaited.length === 0 ? null : Math.min(...awaited);
  }
}

/** Everything about a pod's answer that anybody may want to know of. */
function pictureOf({ status, silent }: InjectedPod): string {
  const { access, limits, issuer, candidateAccess, candidateLimits } = status?.bundles ?? {};
  const states = [access, limits, issuer, candidateAccess, candidateLimits];
  return JSON.stringify([
    silent,
    status?.keySets,
    Object.keys(status?.staleJwks ?? {}).sort(),
    states.map((state) => [state?.serial, state?.hash, state?.error?.code]),
  ]);
}

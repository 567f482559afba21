import assert from 'node:assert/strict';
import { activeKid, type KeySetOutputs } from '../outputs.ts';
import type { KeySetSpec } from '../spec.ts';
import type { Acknowledgement } from '../step.ts';

/** Bounds of the physical world, which every spec of a simulation respects. */
export interface Physics {
  /** The least P of any spec: pods that are well really see a write by then. */
  readonly propagationMs: number;
  /** The least S of any spec: clocks really differ by no more. */
  readonly clockSkewMs: number;
  /** The largest C of any spec. */
  readonly jwksMaxAgeMs: number;
}

/** Names of the pods. */
export const PODS = ['pod-a', 'pod-b'] as const;
/** One of `PODS`. */
export type PodName = (typeof PODS)[number];

interface Pod {
  /** The one document that it works by; null: it has none and is unready. */
  loaded: KeySetOutputs | null;
  /** The longest life that its tokens get; null: for ever. */
  tokenLifetimeMs: number | null;
  /** Since when a newer document has been there to load; null: there is none. */
  staleSince: number | null;
  /** It loads nothing, and acknowledges nothing. */
  stuck: boolean;
}

/** A verifier of other people's: it fetches the JWK Set from a pod and keeps it as long as it was told. */
interface Outsider {
  readonly kids: ReadonlySet<string>;
  readonly fetchedAt: number;
  freshUntil: number;
}

/**
 * Those who use the outputs, by the true time. Pods sign all the while with what they have loaded; every token that is alive is
 * shown to every verifier. A pod that could not load anything for longer than P is a laggard: neither what it signs nor what it
 * refuses counts.
 */
export class SimulatedReaders {
  /** Tokens, each of a key at one time, shown to one verifier each. */
  verified = 0;
  readonly #physics: Physics;
  readonly #pods = new Map<PodName, Pod>(
    PODS.map((name) => [name, { loaded: null, tokenLifetimeMs: 0, staleSince: null, stuck: false }]),
  );
  #latest: KeySetOutputs | null = null;
  #outsider: Outsider | null = null;
  /** By kid: when the last token that it signed expires; Infinity: never. */
  readonly #aliveUntil = new Map<string, number>();
  /** By kid: until when it may be refused by pods, and outside: it had to sign before it was published. */
  readonly #forced = new Map<string, { pods: number; outside: number }>();
  readonly #givenUp = new Set<string>();
  /** Documents of a key set that is no more. */
  readonly #former = new WeakSet<KeySetOutputs>();

  constructor(physics: Physics) {
    this.#physics = physics;
  }

  acknowledgements(): readonly Acknowledgement[] {
    return [...this.#pods].map(([consumer, { loaded }]) => ({ consumer, serial: loaded?.serial ?? 0 }));
  }

  /** Pods that have not loaded a key, those apart whose document is of a former key set. */
  without(kid: string): readonly PodName[] {
    return [...this.#pods]
      .filter(([, { loaded }]) => loaded === null || !(kidsOf(loaded).has(kid) || this.#former.has(loaded)))
      .map(([name]) => name);
  }

  /** A key signs before anyone can have it: the first one, or the successor of a revoked one. */
  force(kid: string): void {
    this.#forced.set(kid, { pods: Number.POSITIVE_INFINITY, outside: Number.POSITIVE_INFINITY });
  }

  /** Nothing is expected of tokens of a key any more: it was revoked, or its loss accepted. */
  giveUp(kids: Iterable<string>): void {
    for (const kid of kids) this.#givenUp.add(kid);
  }

  /** All keys are given up, and what pods have loaded is of a former key set. */
  startAnew(): void {
    this.giveUp(this.#aliveUntil.keys());
    for (const pod of this.#pods.values()) {
      pod.staleSince = null;
      if (pod.loaded === null) continue;
      this.giveUp(kidsOf(pod.loaded));
      this.#former.add(pod.loaded);
    }
    this.#latest = null;
    this.#outsider = null;
  }

  /** From now on there is another document to load. */
  publish(outputs: KeySetOutputs, now: number): void {
    for (const pod of this.#pods.values()) {
      if (pod.loaded?.serial !== outputs.serial || this.#former.has(pod.loaded)) pod.staleSince ??= now;
    }
    for (const kid of kidsOf(outputs)) {
      const forced = this.#forced.get(kid);
      if (forced?.pods !== Number.POSITIVE_INFINITY) continue;
      forced.pods = now + this.#physics.propagationMs;
      forced.outside = forced.pods + this.#physics.jwksMaxAgeMs;
    }
    this.#latest = outputs;
  }

  /** Stops or frees a pod; one that is freed late loads at once. */
  stick(name: PodName, stuck: boolean, now: number, tokenLifetimeMs: number | null): void {
    this.#pod(name).stuck = stuck;
    this.pass(now, now, tokenLifetimeMs);
  }

  /** A pod that is well loads the latest document. `tokenLifetimeMs`: what tokens get that carry no such bound themselves. */
  load(name: PodName, now: number, tokenLifetimeMs: number | null): void {
    const pod = this.#pod(name);
    if (pod.stuck || this.#latest === null) return;
    this.#work(now);
    pod.loaded = this.#latest;
    pod.tokenLifetimeMs = this.#latest.issuing?.maxTokenLifetimeMs ?? tokenLifetimeMs;
    pod.staleSince = null;
    this.#work(now);
  }

  /** The verifier outside fetches the JWK Set from a pod, to keep it for C. */
  fetch(name: PodName, now: number, jwksMaxAgeMs: number): void {
    const pod = this.#pod(name);
    if (pod.loaded === null || this.#lags(pod, now) || this.#former.has(pod.loaded)) return;
    const kids = new Set(pod.loaded.jwks?.keys.map(({ kid }) => kid));
    this.#outsider = { kids, fetchedAt: now, freshUntil: now + jwksMaxAgeMs };
  }

  /**
   * C or T was lowered. Caches are believed to be as short at once, which only prePublish makes up for (docs/adr/0007);
   * and nobody lowers the T of Fernet before apps keep to it.
   */
  shorten({ jwksMaxAgeMs, maxTokenLifetimeMs }: KeySetSpec): void {
    if (this.#outsider !== null) {
      this.#outsider.freshUntil = Math.min(this.#outsider.freshUntil, this.#outsider.fetchedAt + jwksMaxAgeMs);
    }
    for (const pod of this.#pods.values()) {
      if (pod.loaded?.issuing === null) pod.tokenLifetimeMs = shorterLife(pod.tokenLifetimeMs, maxTokenLifetimeMs);
    }
  }

  /** Time passes: pods sign and verify, and load no later than P after a publication. */
  pass(from: number, until: number, tokenLifetimeMs: number | null): void {
    this.#work(from);
    const due = [...this.#pods]
      .flatMap(([name, { stuck, staleSince }]) =>
        stuck || staleSince === null ? [] : [{ name, at: Math.max(from, staleSince + this.#physics.propagationMs) }],
      )
      .filter(({ at }) => at <= until)
      .sort((a, b) => a.at - b.at);
    for (const { name, at } of due) this.load(name, at, tokenLifetimeMs);
    this.#work(until);
  }

  /** Signs with whatever any pod signs with, and shows every living token to every verifier. */
  #work(now: number): void {
    for (const pod of this.#pods.values()) {
      const kid = pod.loaded === null || this.#lags(pod, now) ? undefined : activeKid(pod.loaded);
      if (kid === undefined) continue;
      const expiry = pod.tokenLifetimeMs === null ? Number.POSITIVE_INFINITY : now + pod.tokenLifetimeMs;
      this.#aliveUntil.set(kid, Math.max(this.#aliveUntil.get(kid) ?? 0, expiry));
    }
    for (const [kid, until] of this.#aliveUntil) {
      if (now < until && !this.#givenUp.has(kid)) this.#show(kid, now);
    }
  }

  #show(kid: string, now: number): void {
    const forced = this.#forced.get(kid);
    for (const [name, pod] of this.#pods) {
      if (pod.loaded === null || this.#lags(pod, now) || now <= (forced?.pods ?? 0)) continue;
      assert(kidsOf(pod.loaded).has(kid), `property 14: ${name} refuses a valid token of ${kid}`);
      this.verified++;
    }
    const outsider = this.#outsider;
    if (outsider === null || now >= outsider.freshUntil || now <= (forced?.outside ?? 0)) return;
    if (this.#latest?.jwks?.keys.some((key) => key.kid === kid) !== true) return;
    assert(outsider.kids.has(kid), `property 1: a verifier outside refuses a valid token of ${kid}`);
    this.verified++;
  }

  #lags({ staleSince }: Pod, now: number): boolean {
    return staleSince !== null && now > staleSince + this.#physics.propagationMs;
  }

  #pod(name: PodName): Pod {
    const pod = this.#pods.get(name);
    assert(pod !== undefined);
    return pod;
  }
}

/** The keys that a document verifies with, or decrypts with. */
export function kidsOf({ verificationKeys, fernet }: KeySetOutputs): ReadonlySet<string> {
  return new Set((fernet ?? verificationKeys).map(({ kid }) => kid));
}

/** The shorter of two lives of tokens; null is for ever. */
export function shorterLife(a: number | null, b: number | null): number | null {
  if (a === null || b === null) return a ?? b;
  return Math.min(a, b);
}

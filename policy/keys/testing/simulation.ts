import assert from 'node:assert/strict';
import { applyStep, newKeyOf } from '../apply-step.ts';
import { type ActiveKey, activeKey, type Key, type Keyring, type StandbyKey } from '../keyring.ts';
import type { KeySetOutputs } from '../outputs.ts';
import { plan } from '../plan.ts';
import { type KeySetSpec, maturityMs } from '../spec.ts';
import type { Acknowledgement, Step } from '../step.ts';
import { fakeKey, HOUR, SPEC } from './fixtures.ts';

/** What becomes of an effect: it works or fails; a controller remembers neither. */
export type Fate = 'works' | 'fails';

/** Who acts: two controllers that know nothing of each other. */
export type Who = 0 | 1;

/** What a controller holds in memory; a crash loses it. */
interface Controller {
  offset: number;
  outputs?: KeySetOutputs | null;
  planned?: {
    readonly step: Step;
    readonly spec: KeySetSpec;
    readonly keyring: Keyring | null;
    readonly version: number;
    readonly at: number;
  };
}

/** Bounds of the physical world, which every spec of a simulation must respect. */
export interface Physics {
  /** The least P of any spec: pods really see a write by then. */
  readonly propagationMs: number;
  /** The least S of any spec: clocks really differ by no more. */
  readonly clockSkewMs: number;
}

/** When a key was where, by the true time, which no controller knows. */
interface Sighting {
  readonly firstPublished: number;
  lastSigned?: number;
  /** The longest life that a token signed by it can have been given. */
  longestToken: number;
}

/**
 * One key set in a world of races, crashes and wrong clocks. Every write is checked against the promises of the planner, by number, by
 * the true time and by an account of its own; a violation throws with the number of the property.
 */
export class Simulation {
  spec: KeySetSpec;
  activations = 0;
  writes = 0;
  conflicts = 0;
  #time = 1_000_000_000_000;
  #keys = 0;
  #version = 0;
  #keyring: Keyring | null = null;
  #outputs: KeySetOutputs | null = null;
  readonly #physics: Physics;
  readonly #controllers: readonly [Controller, Controller] = [{ offset: 0 }, { offset: 0 }];
  readonly #loaded = new Map<string, number>([
    ['pod-a', 0],
    ['pod-b', 0],
  ]);
  readonly #sightings = new Map<string, Sighting>();
  readonly #algorithms = new Map<string, string>();
  readonly #dropped = new Set<string>();
  readonly #revoked = new Set<string>();

  constructor(spec: KeySetSpec, physics: Physics) {
    this.spec = spec;
    this.#physics = physics;
  }

  /** Lets true time pass. Tokens are minted all the while, as long-lived as spec and signing key allow. */
  pass(ms: number): void {
    this.#mint();
    this.#time += ms;
    this.#mint();
  }

  /** Sets a controller's clock off by a share of the skew, from -1 to 1. */
  skew(who: Who, share: number): void {
    this.#controllers[who].offset = Math.floor((share * this.#physics.clockSkewMs) / 2);
  }

  /** A pod loads the outputs of now. */
  load(pod: 'pod-a' | 'pod-b'): void {
    this.#loaded.set(pod, this.#outputs?.serial ?? 0);
  }

  /** Changes the spec. Revocations are kept: the list is append-only. */
  respec(change: (spec: KeySetSpec) => KeySetSpec): void {
    this.spec = { ...change(this.spec), revocations: this.spec.revocations };
    this.#mint();
  }

  /** Revokes a key that is there, or one that never was. */
  revoke(index: number): void {
    const keys = this.#keyring?.keys ?? [];
    const kid = keys[index % (keys.length + 1)]?.kid ?? `foreign-${index}`;
    if (this.spec.revocations.some((revocation) => revocation.kid === kid)) return;
    this.spec = { ...this.spec, revocations: [...this.spec.revocations, { kid, reason: 'test' }] };
  }

  /** Forgets what a controller had in memory. */
  crash(who: Who): void {
    const controller = this.#controllers[who];
    delete controller.outputs;
    delete controller.planned;
  }

  /** One move of a controller: read outputs; read the keyring and plan; or carry the plan out. */
  move(who: Who, fate: Fate): void {
    const controller = this.#controllers[who];
    if (controller.outputs === undefined) {
      controller.outputs = this.#outputs;
    } else if (controller.planned === undefined) {
      this.#plan(controller, controller.outputs);
    } else {
      const { planned } = controller;
      this.crash(who);
      if (fate !== 'fails') this.#carryOut(planned);
    }
  }

  /** Properties 7 and 13: at a standing clock a controller comes to rest, with one new standby and one activation at most. */
  settle(who: Who): void {
    this.crash(who);
    const steps: string[] = [];
    const revocations = this.spec.revocations.length - (this.#keyring?.tombstones.length ?? 0);
    const existed = this.#keyring !== null;
    // A retired key takes four steps: erase, drop, write, confirm.
    const bound = 12 + 4 * (this.#keyring?.keys.length ?? 0) + 4 * revocations;
    for (;;) {
      this.move(who, 'works');
      this.move(who, 'works');
      const step = this.#controllers[who].planned?.step;
      assert(step !== undefined);
      if (step.kind === 'Wait') break;
      assert(step.kind !== 'Halt', `false alarm: ${step.kind === 'Halt' ? step.message : ''}`);
      steps.push(step.kind);
      assert(steps.length <= bound, `property 7: no rest after ${steps.join(' ')}`);
      this.move(who, 'works');
    }
    const added = steps.filter((kind) => kind === 'Add').length;
    assert(added <= 1, `property 7: ${added} standby keys at one time: ${steps.join(' ')}`);
    const activated = steps.filter((kind) => kind === 'Activate').length;
    assert(activated <= (existed ? 1 : 0), `property 13: ${activated} activations at one time: ${steps.join(' ')}`);
  }

  /** Property 6: with clocks agreed, either controller, restarted, arrives at the active key of the other. */
  restartsAgree(): void {
    this.skew(0, 0);
    this.skew(1, 0);
    this.settle(0);
    const active = this.#keyring && activeKey(this.#keyring).kid;
    const { writes } = this;
    this.settle(1);
    assert.equal(
      this.#keyring && activeKey(this.#keyring).kid,
      active,
      'property 6: another active key after a restart',
    );
    assert.equal(this.writes, writes, 'property 7: the other controller found something left to do');
  }

  /** That a set left in peace rotates every `periodMs`, no more and no less; pods load what they are given. */
  livesOn(periods: number): void {
    const periodMs = 24 * HOUR;
    this.respec((spec) => ({ ...spec, rotation: { ...SPEC.rotation, periodMs, prePublishMs: HOUR, ackTimeoutMs: 0 } }));
    const hour = (): void => {
      this.pass(HOUR);
      this.settle(0);
      for (const pod of this.#loaded.keys()) this.#loaded.set(pod, this.#outputs?.serial ?? 0);
    };
    // What was pending is done by then, and grown graces are over.
    for (let hours = 0; hours < 48; hours++) hour();
    const before = this.activations;
    for (let hours = 0; hours < periods * 26; hours++) hour();
    const activations = this.activations - before;
    assert(
      activations >= periods - 1 && activations <= periods + 2,
      `liveness: ${activations} activations in ${periods} periods`,
    );
    assert((this.#keyring?.keys.length ?? 0) <= 3, 'liveness: retired keys pile up');
  }

  #planFor(spec: KeySetSpec, outputs: KeySetOutputs | null, keyring: Keyring | null, at: number): Step {
    const acknowledgements: Acknowledgement[] = [...this.#loaded].map(([consumer, serial]) => ({ consumer, serial }));
    return plan(spec, outputs, keyring, at, { initialised: this.#outputs !== null, acknowledgements });
  }

  #plan(controller: Controller, outputs: KeySetOutputs | null): void {
    const { spec } = this;
    const at = this.#time + controller.offset;
    const step = this.#planFor(spec, outputs, this.#keyring, at);
    assert(step.kind !== 'Halt', `false alarm: ${step.kind === 'Halt' ? step.message : ''}`);
    if (step.kind === 'Wait') this.#checkWait(step, spec, at);
    if (step.kind === 'Activate') this.#checkActivation(step, spec, at);
    controller.planned = { step, spec, keyring: this.#keyring, version: this.#version, at };
  }

  #carryOut({ step, spec, keyring, version, at }: NonNullable<Controller['planned']>): void {
    if (step.kind === 'Wait' || step.kind === 'Halt') return;
    if (step.kind === 'WriteOutputs') {
      if (this.#outputs === null || step.outputs.serial >= this.#outputs.serial) this.#publish(step.outputs, spec);
      return;
    }
    const wanted = newKeyOf(step);
    const made = wanted === null ? null : fakeKey(++this.#keys, wanted.algorithm);
    const next = applyStep(spec, keyring, step, made, at);
    if (version !== this.#version) {
      this.conflicts++;
      return;
    }
    this.#checkKeyring(this.#keyring, next, step, spec);
    this.#keyring = next;
    this.#version++;
    this.writes++;
    if (step.kind === 'Activate' || (step.kind === 'Revoke' && step.successor !== null)) this.activations++;
  }

  #publish(outputs: KeySetOutputs, spec: KeySetSpec): void {
    const before = this.#outputs;
    assert(before === null || outputs.serial >= before.serial, 'property 5: outputs went back');
    if (before?.serial === outputs.serial) assert.deepEqual(outputs, before, 'property 5: two contents of one serial');
    this.#checkSecrecy(outputs);
    for (const { kid } of outputs.verificationKeys) {
      assert(!spec.revocations.some((revocation) => revocation.kid === kid), `property 8: revoked ${kid} published`);
      if (!this.#sightings.has(kid)) this.#sightings.set(kid, { firstPublished: this.#time, longestToken: 0 });
    }
    this.#mint();
    this.#outputs = outputs;
    const kids = new Set(outputs.verificationKeys.map(({ kid }) => kid));
    assert(kids.has(outputs.issuing.kid), 'property 3: the signing key is not among the verification keys');
    for (const { kid } of before?.verificationKeys ?? []) {
      if (!kids.has(kid)) this.#checkRetention(kid);
    }
    this.#mint();
  }

  #mint(): void {
    if (this.#outputs === null) return;
    const { kid, maxTokenLifetimeMs } = this.#outputs.issuing;
    const sighting = this.#sightings.get(kid);
    assert(sighting !== undefined);
    sighting.lastSigned = this.#time;
    sighting.longestToken = Math.max(sighting.longestToken, maxTokenLifetimeMs);
  }

  /** Property 2 by the true time: pods that had not heard of the successor signed until P after the last outputs said so. */
  #checkRetention(kid: string): void {
    const sighting = this.#sightings.get(kid);
    if (this.#revoked.has(kid) || sighting?.lastSigned === undefined) return;
    const aliveUntil = sighting.lastSigned + this.#physics.propagationMs + sighting.longestToken;
    assert(this.#time >= aliveUntil, `property 2: ${kid} withdrawn ${aliveUntil - this.#time} ms too early`);
  }

  /** That acknowledgements were waited for. */
  #checkActivation({ kid, laggards }: Step & { kind: 'Activate' }, spec: KeySetSpec, at: number): void {
    const key = this.#keyring?.keys.find((candidate) => candidate.kid === kid);
    assert(
      key?.phase === 'Standby' && key.publishedAt !== null,
      'property 1: a key that was not published is activated',
    );
    const missing = [...this.#loaded].filter(([, serial]) => serial < key.addedSerial).map(([pod]) => pod);
    assert.deepEqual(laggards, missing, 'acknowledgements: laggards');
    if (missing.length === 0) return;
    const { ackTimeoutMs } = spec.rotation;
    const patience = key.publishedAt + maturityMs(spec) + ackTimeoutMs;
    assert(ackTimeoutMs > 0 && at >= patience, 'acknowledgements: not waited for');
  }

  /** Property 1 by the stamps and by the true time, of which the clocks may have used up S. */
  #checkPublishedBeforeSigning(
    key: StandbyKey,
    now: ActiveKey,
    { propagationMs, jwksMaxAgeMs, clockSkewMs }: KeySetSpec,
  ): void {
    const stamped = now.activatedAt - (key.publishedAt ?? Number.POSITIVE_INFINITY);
    assert(
      stamped >= propagationMs + jwksMaxAgeMs + clockSkewMs,
      `property 1: ${key.kid} signs ${stamped} ms after publication`,
    );
    const published = this.#sightings.get(key.kid)?.firstPublished ?? Number.POSITIVE_INFINITY;
    const truly = this.#time - published;
    assert(truly >= propagationMs + jwksMaxAgeMs, `property 1: ${key.kid} signs truly ${truly} ms after publication`);
  }

  /** Whoever waits has stamped the graces of the spec it waits under on the active key, and waits for a time to come. */
  #checkWait(step: Step & { kind: 'Wait' }, spec: KeySetSpec, at: number): void {
    assert(this.#keyring !== null);
    const { graces } = activeKey(this.#keyring);
    assert(graces.maxTokenLifetimeMs >= spec.maxTokenLifetimeMs, 'property 2: T not stamped');
    assert(
      graces.propagationMs >= spec.propagationMs && graces.clockSkewMs >= spec.clockSkewMs,
      'property 2: P, S not stamped',
    );
    assert(step.until === null || step.until > at, 'property 7: a wait until the past');
  }

  #checkKeyring(before: Keyring | null, after: Keyring, step: Step, spec: KeySetSpec): void {
    assert.equal(after.keys.filter(({ phase }) => phase === 'Active').length, 1, 'property 3');
    assert(after.serial >= (before?.serial ?? 0) && after.maxTime >= (before?.maxTime ?? 0), 'property 5');
    for (const key of after.keys) this.#checkIdentity(key);
    for (const { kid } of after.tombstones) this.#revoked.add(kid);
    for (const key of before?.keys ?? []) this.#checkKeyChange(key, after, step, spec);
  }

  #checkIdentity({ kid, algorithm }: Key): void {
    assert(!this.#dropped.has(kid), `property 10: ${kid} came back`);
    assert(!this.#revoked.has(kid), `property 8: ${kid} came back`);
    assert.equal(this.#algorithms.get(kid) ?? algorithm, algorithm, 'property 10: algorithm');
    this.#algorithms.set(kid, algorithm);
  }

  /** Property 2 by the stamps; and that no stamp is ever moved and no grace shortened. */
  #checkKeyChange(key: Key, after: Keyring, step: Step, spec: KeySetSpec): void {
    const now = after.keys.find(({ kid }) => kid === key.kid);
    if (now === undefined) {
      this.#dropped.add(key.kid);
      if (step.kind === 'Revoke' || key.phase === 'Standby') return;
      assert(key.phase === 'Retired' && key.retireConfirmedAt !== null, 'property 2: dropped before it was retired');
      const { maxTokenLifetimeMs, propagationMs, clockSkewMs } = key.graces;
      const kept = after.maxTime - key.retireConfirmedAt;
      assert(kept >= maxTokenLifetimeMs + propagationMs + clockSkewMs, `property 2: ${key.kid} kept ${kept} ms`);
      return;
    }
    assert(key.publishedAt === null || now.publishedAt === key.publishedAt, 'property 6: publishedAt moved');
    if (key.phase === 'Standby' && now.phase === 'Active') this.#checkPublishedBeforeSigning(key, now, spec);
    if (key.phase === 'Standby' || now.phase === 'Standby') return;
    assert(now.graces.maxTokenLifetimeMs >= key.graces.maxTokenLifetimeMs, 'property 2: T shortened');
    assert(now.graces.propagationMs >= key.graces.propagationMs, 'property 2: P shortened');
    if (key.phase === 'Retired' && now.phase === 'Retired' && key.retireConfirmedAt !== null) {
      assert.equal(now.retireConfirmedAt, key.retireConfirmedAt, 'property 6: retireConfirmedAt moved');
    }
  }

  #checkSecrecy({ verificationKeys, jwks }: KeySetOutputs): void {
    assert(!JSON.stringify([verificationKeys, jwks]).includes('private'), 'property 11: private members in outputs');
    assert(jwks === null || jwks.keys.every((key) => !Object.hasOwn(key, 'k')), 'property 11: a secret in the JWKS');
  }
}

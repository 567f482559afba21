import assert from 'node:assert/strict';
import { isSymmetric } from '../algorithms.ts';
import { type ActiveKey, activeKey, type Key, type Keyring, type StandbyKey, withoutMaterial } from '../keyring.ts';
import { activeKid, type KeySetOutputs } from '../outputs.ts';
import { type KeySetSpec, maturityMs, reachMs } from '../spec.ts';
import type { Step } from '../step.ts';
import type { Decision } from './simulated-controller.ts';
import { kidsOf, type Physics } from './simulated-readers.ts';

/** What fake keys say of all that must stay private. */
const MATERIAL = /private-|secret-/;

/** What befell a keyring. */
export type Trouble = 'KeyringLost' | 'RolledBack';

/** What a planner breaks that goes on where it has to halt. */
const BROKEN_BY_GOING_ON = {
  KeyringLost: 'property 9',
  RolledBack: 'properties 5 and 8',
  EscrowUnavailable: 'property 12',
} as const;

/** When a key was where, by the true time, which no controller knows. */
interface Sighting {
  readonly firstPublished: number;
  lastSigned?: number;
  /** The longest life that a token signed by it can have been given; Infinity: for ever. */
  longestToken: number;
}

/** An account of one key set beside its own, which holds every write against the promises of KEYS.md, by number. */
export class Promises {
  /** The highest serial that outputs were written with, and the highest among those written under a usable escrow. */
  published = 0;
  escrowed = 0;
  readonly #physics: Physics;
  readonly #sightings = new Map<string, Sighting>();
  readonly #algorithms = new Map<string, string>();
  readonly #dropped = new Set<string>();
  readonly #revoked = new Set<string>();
  readonly #withdrawn = new Set<string>();
  #latest: KeySetOutputs | null = null;

  constructor(physics: Physics) {
    this.#physics = physics;
  }

  /** Another key set begins under the name; ids of keys stay unique all the same. */
  startAnew(): void {
    this.published = 0;
    this.escrowed = 0;
    this.#latest = null;
    this.#revoked.clear();
    this.#sightings.clear();
  }

  /** A keyring came back: what it dropped after the escrow's index was written comes back with it. */
  restored({ keys, tombstones }: Keyring): void {
    for (const { kid } of keys) this.#dropped.delete(kid);
    this.#revoked.clear();
    for (const { kid } of tombstones) this.#revoked.add(kid);
  }

  /** What can be said of a plan by itself. `lacking`: the pods that do not have the key to be activated. */
  checkPlan({ step, spec, keyring, context, at }: Decision, lacking: (kid: string) => readonly string[]): void {
    assert(!MATERIAL.test(JSON.stringify(spoken(step))), 'property 11: key material in a message');
    if (step.kind === 'Wait') checkWait(step, spec, keyring, at);
    if (step.kind === 'Activate') checkActivation(step, spec, keyring, lacking(step.kid), at);
    if (step.kind === 'Create' || step.kind === 'Add') {
      const lacks = context.escrow.kind === 'Unusable' && spec.escrow?.required === true;
      assert(!lacks, 'property 12: a key is made that cannot be escrowed');
    }
  }

  checkKeyring(after: Keyring, { step, spec, keyring: before }: Decision, now: number): void {
    assert.equal(after.keys.filter(({ phase }) => phase === 'Active').length, 1, 'property 3: not one active key');
    assert(after.serial >= (before?.serial ?? 0), 'property 5: the serial of the keyring goes back');
    assert(after.maxTime >= (before?.maxTime ?? 0), 'property 6: time goes back');
    assert(!MATERIAL.test(JSON.stringify(withoutMaterial(after))), 'property 11: key material in the index');
    for (const { kid } of after.tombstones) this.#revoked.add(kid);
    for (const key of after.keys) this.#checkIdentity(key);
    for (const key of before?.keys ?? []) this.#checkKeyChange(key, after, step, spec, now);
  }

  /** `tokenLifetimeMs`: what tokens get that the outputs set no bound for. */
  checkOutputs(
    outputs: KeySetOutputs,
    { spec, context }: Decision,
    messages: Readonly<Record<string, string>>,
    tokenLifetimeMs: number | null,
    now: number,
  ): void {
    assert(outputs.serial >= this.published, 'property 5: outputs go back');
    if (this.#latest?.serial === outputs.serial) {
      assert.deepEqual(outputs, this.#latest, 'property 5: two contents of one serial');
    }
    checkSecrecy(outputs);
    const kids = kidsOf(outputs);
    assert(kids.has(activeKid(outputs) ?? ''), 'property 3: the signing key is not among the verification keys');
    for (const kid of kids) {
      const revoked = this.#withdrawn.has(kid) || spec.revocations.some((revocation) => revocation.kid === kid);
      assert(!revoked, `property 8: revoked ${kid} is published`);
      if (context.escrow.kind === 'Usable') {
        assert(Object.hasOwn(messages, kid), `property 12: ${kid} is exposed before it is escrowed`);
      }
      if (!this.#sightings.has(kid)) this.#sightings.set(kid, { firstPublished: now, longestToken: 0 });
    }
    this.mint(tokenLifetimeMs, now);
    for (const kid of this.#latest === null ? [] : kidsOf(this.#latest)) {
      if (kids.has(kid)) continue;
      if (this.#revoked.has(kid)) this.#withdrawn.add(kid);
      else this.#checkRetention(kid, now);
    }
    this.#latest = outputs;
    this.published = outputs.serial;
    if (context.escrow.kind === 'Usable') this.escrowed = outputs.serial;
    this.mint(tokenLifetimeMs, now);
  }

  /** The latest outputs sign now. */
  mint(tokenLifetimeMs: number | null, now: number): void {
    const sighting = this.#latest === null ? undefined : this.#sightings.get(activeKid(this.#latest) ?? '');
    if (sighting === undefined) return;
    const life = this.#latest?.issuing?.maxTokenLifetimeMs ?? tokenLifetimeMs ?? Number.POSITIVE_INFINITY;
    sighting.lastSigned = now;
    sighting.longestToken = Math.max(sighting.longestToken, life);
  }

  /** Property 2 by the true time: pods that had not heard of the successor signed until P after the last outputs said so. */
  #checkRetention(kid: string, now: number): void {
    const sighting = this.#sightings.get(kid);
    if (sighting?.lastSigned === undefined) return;
    const aliveUntil = sighting.lastSigned + this.#physics.propagationMs + sighting.longestToken;
    assert(now >= aliveUntil, `property 2: ${kid} is withdrawn ${aliveUntil - now} ms too early`);
  }

  #checkIdentity({ kid, algorithm }: Key): void {
    assert(!this.#dropped.has(kid), `property 10: ${kid} comes back`);
    assert(!this.#revoked.has(kid), `property 8: ${kid} comes back`);
    assert.equal(this.#algorithms.get(kid) ?? algorithm, algorithm, `property 10: ${kid} has two algorithms`);
    this.#algorithms.set(kid, algorithm);
  }

  /** Properties 1 and 2 by the stamps; and that no stamp is ever moved and no grace shortened. */
  #checkKeyChange(key: Key, after: Keyring, step: Step, spec: KeySetSpec, trueNow: number): void {
    const now = after.keys.find(({ kid }) => kid === key.kid);
    if (now === undefined) {
      this.#dropped.add(key.kid);
      if (step.kind === 'Revoke' || key.phase === 'Standby') return;
      assert(key.phase === 'Retired' && key.retireConfirmedAt !== null, 'property 2: dropped before it was retired');
      const { maxTokenLifetimeMs, propagationMs, clockSkewMs } = key.graces;
      const kept = after.maxTime - key.retireConfirmedAt;
      const promised = (maxTokenLifetimeMs ?? Number.POSITIVE_INFINITY) + propagationMs + clockSkewMs;
      assert(kept >= promised, `property 2: ${key.kid} is kept for ${kept} of ${promised} ms`);
      return;
    }
    assert(key.publishedAt === null || now.publishedAt === key.publishedAt, 'property 6: publishedAt moves');
    if (key.phase === 'Standby' && now.phase === 'Active') this.#checkPublishedBeforeSigning(key, now, spec, trueNow);
    if (key.phase === 'Standby' || now.phase === 'Standby') return;
    assert(covers(now.graces, key.graces), 'property 2: a grace is shortened');
    if (key.phase === 'Retired' && now.phase === 'Retired' && key.retireConfirmedAt !== null) {
      assert.equal(now.retireConfirmedAt, key.retireConfirmedAt, 'property 6: retireConfirmedAt moves');
    }
  }

  /** Property 1 by the stamps and by the true time, of which the clocks may have used up S. */
  #checkPublishedBeforeSigning(key: StandbyKey, now: ActiveKey, spec: KeySetSpec, trueNow: number): void {
    const stamped = now.activatedAt - (key.publishedAt ?? Number.POSITIVE_INFINITY);
    assert(stamped >= reachMs(spec), `property 1: ${key.kid} signs ${stamped} ms after publication`);
    const published = this.#sightings.get(key.kid)?.firstPublished ?? Number.POSITIVE_INFINITY;
    const truly = trueNow - published;
    assert(
      truly >= spec.propagationMs + spec.jwksMaxAgeMs,
      `property 1: ${key.kid} signs truly ${truly} ms after publication`,
    );
  }
}

/** That a plan halts for what befell the keyring (null: nothing), or for want of an escrow, and for nothing else. */
export function checkHalt({ step, spec, keyring, context }: Decision, trouble: Trouble | null): void {
  const lacking = keyring === null && context.escrow.kind === 'Unusable' && spec.escrow?.required === true;
  const expected = trouble ?? (lacking ? 'EscrowUnavailable' : null);
  const found = step.kind === 'Halt' ? step.reason : null;
  const said = step.kind === 'Halt' ? step.message : step.kind;
  assert.equal(found, expected, `${expected === null ? 'false alarm' : BROKEN_BY_GOING_ON[expected]}: ${said}`);
}

/** That acknowledgements were waited for. */
function checkActivation(
  { kid, laggards }: Step & { readonly kind: 'Activate' },
  spec: KeySetSpec,
  keyring: Keyring | null,
  lacking: readonly string[],
  at: number,
): void {
  const key = keyring?.keys.find((candidate) => candidate.kid === kid);
  assert(key?.phase === 'Standby' && key.publishedAt !== null, 'property 1: a key that was not published is activated');
  for (const pod of lacking) assert(laggards.includes(pod), `acknowledgements: ${pod} does not have ${kid}`);
  if (laggards.length === 0) return;
  const { ackTimeoutMs } = spec.rotation;
  const patience = key.publishedAt + maturityMs(spec) + ackTimeoutMs;
  assert(ackTimeoutMs > 0 && at >= patience, 'acknowledgements: not waited for');
}

/** Whoever waits has stamped the graces of the spec it waits under on the active key, and waits for a time to come. */
function checkWait(
  step: Step & { readonly kind: 'Wait' },
  spec: KeySetSpec,
  keyring: Keyring | null,
  at: number,
): void {
  assert(keyring !== null, 'property 7: waits without a keyring');
  assert(covers(activeKey(keyring).graces, spec), 'property 2: T, P or S is not stamped');
  assert(step.until === null || step.until > at, 'property 7: a wait until the past');
  assert(step.until === null || Number.isFinite(step.until), 'property 7: a wait for ever that says a time');
}

type Durations = Pick<KeySetSpec, 'maxTokenLifetimeMs' | 'propagationMs' | 'clockSkewMs'>;

function covers(graces: Durations, wanted: Durations): boolean {
  const life = graces.maxTokenLifetimeMs ?? Number.POSITIVE_INFINITY;
  return (
    life >= (wanted.maxTokenLifetimeMs ?? Number.POSITIVE_INFINITY) &&
    graces.propagationMs >= wanted.propagationMs &&
    graces.clockSkewMs >= wanted.clockSkewMs
  );
}

function checkSecrecy({ verificationKeys, jwks }: KeySetOutputs): void {
  const shared = verificationKeys.filter(({ algorithm }) => !isSymmetric(algorithm));
  assert(!MATERIAL.test(JSON.stringify([shared, jwks])), 'property 11: key material for verifiers');
  assert(jwks === null || jwks.keys.every((key) => !Object.hasOwn(key, 'k')), 'property 11: a secret in the JWKS');
}

/** What of a step is told to people. */
function spoken(step: Step): unknown {
  return step.kind === 'WriteOutputs' || step.kind === 'WriteExports' ? step.kind : step;
}

import assert from 'node:assert/strict';
import { activeKey, type KeyMaterial, type Keyring } from '../keyring.ts';
import type { KeySetOutputs } from '../outputs.ts';
import type { DeletionSpec, KeySetSpec } from '../spec.ts';
import type { Acknowledgement, NewKey, Step } from '../step.ts';
import { fakeKey } from './fixtures.ts';
import { checkHalt, Promises, type Trouble } from './promises.ts';
import { restoreFromEscrow } from './restore-from-escrow.ts';
import { type Decision, type Fate, SimulatedController, type World } from './simulated-controller.ts';
import { type Physics, type PodName, SimulatedReaders, shorterLife } from './simulated-readers.ts';
import { SimulatedStore } from './simulated-store.ts';

/** Who acts: two controllers that know nothing of each other. */
export type Who = 0 | 1;

/** What is lost. */
export interface Loss {
  readonly keyring: boolean;
  readonly outputs: boolean;
  readonly exports: boolean;
  readonly escrow: boolean;
  readonly status: boolean;
}

/** What an admin does about a keyring that was lost or rolled back. */
export type Remedy = 'Escrow' | 'Backup' | 'AcceptLoss' | 'AcceptWrongSerial';

/**
 * One key set in a world of races, crashes, wrong clocks, losses and restores. A loss, and what an admin does about it, falls
 * between passes: passes take seconds. A promise that is broken throws, with the number of the property.
 */
export class Simulation implements World {
  spec: KeySetSpec;
  time = 1_000_000_000_000;
  recipients: readonly string[] | null = ['AAAA'];
  readonly store = new SimulatedStore();
  readonly readers: SimulatedReaders;
  readonly count = { activations: 0, writes: 0, conflicts: 0, halts: 0, restores: 0, acceptances: 0, deletions: 0 };
  readonly #physics: Physics;
  readonly #promises: Promises;
  readonly #controllers: readonly [SimulatedController, SimulatedController];
  readonly #materials = new Map<string, KeyMaterial>();
  /** Keyrings that were, for backups; the latest last. */
  #history: Keyring[] = [];
  /** Why controllers must halt. */
  trouble: Trouble | null = null;
  /** The keyring as it was before the trouble. */
  #backup: Keyring | null = null;
  /** How long tokens live of which the outputs do not say it: what the last plan that waited knew. */
  #tokenLifetimeMs: number | null = 0;
  #released = false;

  constructor(spec: KeySetSpec, physics: Physics) {
    this.spec = spec;
    this.#physics = physics;
    this.#promises = new Promises(physics);
    this.readers = new SimulatedReaders(physics);
    this.#controllers = [new SimulatedController(this), new SimulatedController(this)];
  }

  acknowledgements(): readonly Acknowledgement[] {
    return this.readers.acknowledgements();
  }

  makeKey({ algorithm }: NewKey): KeyMaterial {
    const made = fakeKey(this.#materials.size + 1, algorithm);
    this.#materials.set(made.kid, made);
    return made;
  }

  /** Lets true time pass. */
  pass(ms: number): void {
    this.#promises.mint(this.#tokenLifetimeMs, this.time);
    this.readers.pass(this.time, this.time + ms, this.#tokenLifetimeMs);
    this.time += ms;
    this.#promises.mint(this.#tokenLifetimeMs, this.time);
  }

  /** Sets a controller's clock off by a share of the skew, from -1 to 1. */
  skew(who: Who, share: number): void {
    this.#controllers[who].offset = Math.floor((share * this.#physics.clockSkewMs) / 2);
  }

  load(pod: PodName): void {
    this.readers.load(pod, this.time, this.#tokenLifetimeMs);
  }

  fetch(pod: PodName): void {
    this.readers.fetch(pod, this.time, this.spec.jwksMaxAgeMs);
  }

  stick(pod: PodName, stuck: boolean): void {
    this.readers.stick(pod, stuck, this.time, this.#tokenLifetimeMs);
  }

  /** Changes the spec. Revocations are kept: the list is append-only. */
  respec(change: Partial<KeySetSpec>): void {
    this.spec = { ...this.spec, ...change, revocations: this.spec.revocations };
    this.#tokenLifetimeMs = shorterLife(this.#tokenLifetimeMs, this.spec.maxTokenLifetimeMs);
    this.readers.shorten(this.spec);
  }

  /** Revokes a key that is there, or one that never was. */
  revoke(index: number): void {
    const keys = this.store.keyring?.keys ?? [];
    this.revokeKid(keys[index % (keys.length + 1)]?.kid ?? `foreign-${index}`);
  }

  revokeKid(kid: string): void {
    if (this.spec.revocations.some((revocation) => revocation.kid === kid)) return;
    this.spec = { ...this.spec, revocations: [...this.spec.revocations, { kid, reason: 'test' }] };
  }

  crash(who: Who): void {
    this.#controllers[who].crash();
  }

  /** One read, plan or write of a controller. */
  move(who: Who, fate: Fate): void {
    this.#controllers[who].move(fate);
  }

  /** Reads, plans and carries the plan out, with nobody in between. */
  turn(who: Who): Step {
    return this.#controllers[who].pass();
  }

  /** Outputs, or what apps read, are no longer what was written last. Not while they are what tells of a keyring. */
  tamper(what: 'outputs' | 'exports'): void {
    if (this.trouble !== null || this.store.keyring === null) return;
    this.#crashAll();
    const found = this.store[what];
    if (found !== null) this.store[what] = { ...found, serial: Math.max(1, found.serial - 1), verificationKeys: [] };
  }

  /** Not while what would be lost tells that the keyring is old. */
  lose({ keyring, outputs, exports, escrow, status }: Loss): void {
    if (this.trouble === 'RolledBack') return;
    this.#crashAll();
    const { store } = this;
    const had = store.keyring;
    if (keyring) store.replaceKeyring(null);
    if (outputs) store.outputs = null;
    if (exports) store.exports = null;
    if (escrow) store.escrow = null;
    if (status) store.status = null;
    if (store.keyring !== null) return;
    this.#backup = had ?? this.#backup;
    // With no trace left it is a new set, and with none above a serial accepted before that one again: nobody can know better.
    const lost = store.lostSerial();
    if (lost === null || lost === this.spec.acceptedLoss) this.#startAnew(lost);
    else this.trouble = 'KeyringLost';
  }

  /** An older keyring is put in the place of this one, if there was one, and if anything tells that it is older. */
  rollBack(age: number): void {
    const { keyring } = this.store;
    const seen = this.store.lostSerial() ?? 0;
    const older = this.#history.filter(({ serial }) => serial < seen).at(-1 - age);
    if (this.trouble !== null || keyring === null || older === undefined) return;
    this.#crashAll();
    this.#backup = keyring;
    this.trouble = 'RolledBack';
    this.store.replaceKeyring(older);
  }

  /** What an admin does about it, if there is anything to be done. */
  remedy(remedy: Remedy): void {
    if (this.trouble === null) return;
    this.#crashAll();
    const lost = this.store.lostSerial() ?? 0;
    if (remedy === 'AcceptWrongSerial') {
      this.respec({ acceptedLoss: lost + 1_000_000 });
    } else if (remedy === 'Escrow' && this.store.escrow?.index) {
      const { keyring, isWhole } = restoreFromEscrow(this.spec, this.store, this.#promises, this.#materials);
      // With an index that is behind, what came after it is given up (--accept-loss).
      if (!isWhole) this.#startAnew(null);
      if (this.#promises.published === 0) for (const { kid } of keyring.keys) this.readers.force(kid);
      this.#putBack(keyring);
    } else if (remedy !== 'AcceptLoss' && this.#backup !== null) {
      this.#putBack(this.#backup);
    } else {
      this.store.replaceKeyring(null);
      this.#startAnew(lost);
      this.#backup = null;
      this.count.acceptances++;
    }
  }

  /** Deletes the resource under both controllers, and makes it again. */
  remake(policy: DeletionSpec['policy'], turns: readonly Who[]): void {
    if (this.trouble !== null) return;
    this.#crashAll();
    this.#delete({ policy, forced: false }, turns);
    if (!this.#released) this.#delete({ policy, forced: true }, turns);
    assert(this.#released, 'deletion: a forced one does not end');
    this.count.deletions++;
    this.#crashAll();
    const { store } = this;
    store.status = null;
    store.initialised = false;
    this.respec({ deletion: null, acceptedLoss: null, uid: `uid-${this.count.deletions}` });
    if (policy === 'Delete') {
      const left = store.keyring ?? store.outputs ?? store.exports;
      assert.equal(left, null, 'deletion: released before everything was gone');
      this.#startAnew(null);
      this.#backup = null;
    }
    if (store.keyring === null && store.lostSerial() !== null) this.trouble = 'KeyringLost';
  }

  onPlan(decision: Decision): void {
    const { step, spec } = decision;
    if (spec.deletion === null) {
      checkHalt(decision, this.trouble);
    } else if (step.kind === 'Halt') {
      assert.equal(step.reason, 'EscrowUnavailable', `deletion: ${step.message}`);
    } else {
      assert(['Release', 'Erase', 'WriteEscrow'].includes(step.kind), `deletion: ${step.kind}`);
      if (step.kind === 'Release') this.#released = true;
    }
    if (step.kind === 'Halt') this.count.halts++;
    if (step.kind === 'Wait') this.#tokenLifetimeMs = spec.maxTokenLifetimeMs;
    this.#promises.checkPlan(decision, (kid) => this.readers.without(kid));
    if (step.kind === 'Create') {
      const lost = this.store.lostSerial();
      assert(step.serial === (lost === null ? 1 : Math.max(lost, 1) + 1), 'property 5: a new keyring begins below');
      assert(lost === null || lost === spec.acceptedLoss, 'property 9: a lost keyring is made anew');
    }
  }

  onKeyring(next: Keyring, decision: Decision): void {
    const { step } = decision;
    assert.equal(this.trouble, null, 'property 9: a keyring is written over a lost one');
    assert.equal(this.store.keyring, decision.keyring, 'property 4: a keyring is written that was not the one read');
    this.#promises.checkKeyring(next, decision, this.time);
    this.count.writes++;
    this.#history = [...this.#history.slice(-20), next];
    if (step.kind === 'Revoke') this.readers.giveUp([step.kid]);
    const activated = step.kind === 'Activate' || (step.kind === 'Revoke' && step.successor !== null);
    if (activated) this.count.activations++;
    if (step.kind === 'Create' || (step.kind === 'Revoke' && step.successor?.kind === 'NewKey')) {
      this.readers.force(activeKey(next).kid);
    }
  }

  onOutputs(outputs: KeySetOutputs, decision: Decision): void {
    const messages = this.store.escrow?.messages ?? {};
    this.#promises.checkOutputs(outputs, decision, messages, this.#tokenLifetimeMs, this.time);
    this.readers.publish(outputs, this.time);
  }

  onErase({ spec, keyring }: Decision): void {
    if (spec.escrow === null || spec.deletion?.forced === true || keyring === null) return;
    for (const { kid } of keyring.keys) {
      assert(this.store.escrow?.messages[kid] !== undefined, `deletion: ${kid} goes before it is escrowed`);
    }
  }

  onConflict(): void {
    this.count.conflicts++;
  }

  #delete(deletion: DeletionSpec, turns: readonly Who[]): void {
    this.respec({ deletion });
    this.#released = false;
    for (let turn = 0; turn < 240 && !this.#released; turn++) {
      this.move(turns[turn % turns.length] ?? 0, turn % 11 === 0 ? 'crashes' : 'works');
    }
  }

  /** `acceptedLoss`: by what a new keyring may be made over traces of the old one. */
  #startAnew(acceptedLoss: number | null): void {
    this.readers.startAnew();
    this.#promises.startAnew();
    this.#history = [];
    this.trouble = null;
    this.respec({ acceptedLoss });
  }

  #putBack(keyring: Keyring): void {
    this.#promises.restored(keyring);
    this.store.replaceKeyring(keyring);
    this.respec({ acceptedLoss: null });
    this.trouble = null;
    this.count.restores++;
  }

  #crashAll(): void {
    for (const controller of this.#controllers) controller.crash();
  }
}

import { applyStep, newKeyOf } from '../apply-step.ts';
import { type Escrow, isEscrowed } from '../escrow.ts';
import { type KeyMaterial, type Keyring, withoutMaterial } from '../keyring.ts';
import type { KeySetOutputs } from '../outputs.ts';
import { plan } from '../plan.ts';
import type { KeySetSpec } from '../spec.ts';
import type { Acknowledgement, EscrowState, KeyringStep, NewKey, PlanContext, Step, Traces } from '../step.ts';
import type { SimulatedStore } from './simulated-store.ts';

/** What becomes of an effect: it works; it fails; or it works and the controller dies of it. */
export type Fate = 'works' | 'fails' | 'crashes';

/** A plan, with all that it was made from. */
export interface Decision {
  readonly step: Step;
  readonly spec: KeySetSpec;
  readonly keyring: Keyring | null;
  readonly context: PlanContext;
  /** By the clock of who decided. */
  readonly at: number;
}

/** What controllers live in, and who looks over their shoulders: each of the `on…` throws when a promise is broken. */
export interface World {
  readonly spec: KeySetSpec;
  readonly store: SimulatedStore;
  /** The true time, in epoch milliseconds. */
  readonly time: number;
  /** To whom keys can be encrypted; null: to nobody. */
  readonly recipients: readonly string[] | null;
  acknowledgements(): readonly Acknowledgement[];
  makeKey(wanted: NewKey): KeyMaterial;
  onPlan(decision: Decision): void;
  /** Before a keyring is replaced. */
  onKeyring(next: Keyring, decision: Decision): void;
  /** Before outputs are replaced. */
  onOutputs(outputs: KeySetOutputs, decision: Decision): void;
  /** Before anything of a set that is being deleted goes. */
  onErase(decision: Decision): void;
  onConflict(): void;
}

interface Seen {
  readonly outputs: KeySetOutputs | null;
  readonly exported: boolean;
  readonly escrow?: { readonly stored: Escrow | null; readonly version: number | null; readonly traces: Traces | null };
}

/** One write; false: another writer was first. */
type Effect = () => boolean;

/** A controller as operator/signing-keys has it: it reads, plans and writes, and others may act between any two of these. */
export class SimulatedController {
  /** How far its clock is ahead of the true time. */
  offset = 0;
  readonly #world: World;
  #seen: Seen | undefined;
  #effects: Effect[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  /** Loses what it had in memory. */
  crash(): void {
    this.#seen = undefined;
    this.#effects = [];
  }

  /** One move: a read, or the plan, or one write. */
  move(fate: Fate): void {
    const effect = this.#effects.shift();
    if (effect === undefined) {
      this.#read();
      return;
    }
    if (fate === 'fails') {
      this.crash();
      return;
    }
    const won = effect();
    if (!won) this.#world.onConflict();
    if (!won || fate === 'crashes') this.crash();
  }

  /** Reads, plans and carries the plan out, with nobody in between. */
  pass(): Step {
    this.crash();
    let step = this.#read();
    while (step === undefined) step = this.#read();
    while (this.#effects.length > 0) this.move('works');
    return step;
  }

  #read(): Step | undefined {
    const { store } = this.#world;
    if (this.#seen === undefined) {
      this.#seen = { outputs: store.outputs, exported: store.isExported(store.outputs) };
    } else if (this.#seen.escrow === undefined) {
      const { escrow: stored, escrowVersion: version } = store;
      this.#seen = { ...this.#seen, escrow: { stored, version, traces: store.traces() } };
    } else {
      const { outputs, exported, escrow } = this.#seen;
      this.#seen = undefined;
      return this.#plan(outputs, exported, escrow);
    }
    return undefined;
  }

  #plan(outputs: KeySetOutputs | null, exported: boolean, escrow: NonNullable<Seen['escrow']>): Step {
    const { spec, store, recipients, time } = this.#world;
    const { keyring, keyringVersion } = store;
    const state = escrowState(spec, recipients, escrow.stored, keyring);
    const acknowledgements = this.#world.acknowledgements();
    const context = { traces: escrow.traces, exported, escrow: state, acknowledgements };
    const at = time + this.offset;
    const step = plan(spec, outputs, keyring, at, context);
    const decision = { step, spec, keyring, context, at };
    this.#world.onPlan(decision);
    this.#effects = this.#effectsOf(decision, escrow, keyringVersion, recipients);
    if (this.#effects.length === 0 && spec.deletion === null) {
      const isOld = step.kind === 'Halt' && step.reason === 'RolledBack';
      store.writeStatus(Math.max(outputs?.serial ?? 0, isOld ? 0 : (keyring?.serial ?? 0)));
    }
    return step;
  }

  #effectsOf(
    decision: Decision,
    { stored, version }: NonNullable<Seen['escrow']>,
    keyringVersion: number | null,
    recipients: readonly string[] | null,
  ): Effect[] {
    const { step, keyring, context } = decision;
    const { store } = this.#world;
    switch (step.kind) {
      case 'Wait':
      case 'Halt':
      case 'Release':
        return [];
      case 'WriteOutputs':
        return [
          () => {
            if (store.outputs !== null && step.outputs.serial < store.outputs.serial) return true;
            this.#world.onOutputs(step.outputs, decision);
            store.outputs = step.outputs;
            return true;
          },
        ];
      case 'WriteExports':
        return [
          () => {
            store.writeExports(step.outputs);
            return true;
          },
        ];
      case 'WriteEscrow':
        if (recipients === null || keyring === null) return [];
        return [() => store.writeEscrow(escrowOf(keyring, stored, recipients), version)];
      case 'Erase':
        return this.#erasing(decision, keyringVersion);
      default: {
        const wanted = newKeyOf(step);
        const made = wanted === null ? null : this.#world.makeKey(wanted);
        const write = () => this.#writeKeyring(decision, step, made, keyringVersion);
        if (made === null || recipients === null || context.escrow.kind !== 'Usable') return [write];
        return [() => store.writeEscrow(withMessage(made.kid, stored, recipients), version), write];
      }
    }
  }

  #writeKeyring(decision: Decision, step: KeyringStep, made: KeyMaterial | null, version: number | null): boolean {
    const { store } = this.#world;
    if (version !== store.keyringVersion) return false;
    const next = applyStep(decision.spec, decision.keyring, step, made, decision.at);
    this.#world.onKeyring(next, decision);
    return store.writeKeyring(next, version);
  }

  #erasing(decision: Decision, version: number | null): Effect[] {
    const { store } = this.#world;
    const unlessReplaced = (erase: () => void): Effect => {
      return () => {
        if (version !== store.keyringVersion) return false;
        this.#world.onErase(decision);
        erase();
        return true;
      };
    };
    return [
      unlessReplaced(() => {
        store.exports = null;
      }),
      unlessReplaced(() => {
        store.outputs = null;
      }),
      unlessReplaced(() => store.replaceKeyring(null)),
    ];
  }
}

function escrowState(
  { escrow }: KeySetSpec,
  recipients: readonly string[] | null,
  stored: Escrow | null,
  keyring: Keyring | null,
): EscrowState {
  if (escrow === null) return { kind: 'Off' };
  if (recipients === null) return { kind: 'Unusable', message: 'the key of AAAA has expired' };
  return { kind: 'Usable', current: keyring === null || isEscrowed(keyring, stored, recipients) };
}

/** `AAAA+BBBB:k7`: a message that either can read; the simulation knows what is in it. */
function message(kid: string, recipients: readonly string[]): string {
  return `${recipients.join('+')}:${kid}`;
}

/** As operator/escrow has it: what was there before the index knew the key may be to other recipients. */
function withMessage(kid: string, before: Escrow | null, recipients: readonly string[]): Escrow {
  const { messages = {}, index = null } = before ?? {};
  return {
    recipients: before?.recipients ?? recipients,
    index,
    messages: { ...messages, [kid]: message(kid, recipients) },
  };
}

function escrowOf(keyring: Keyring, before: Escrow | null, recipients: readonly string[]): Escrow {
  const same = before !== null && before.recipients.join() === recipients.join();
  const known = new Set(same ? before.index?.keys.map(({ kid }) => kid) : []);
  const fresh = keyring.keys
    .filter(({ kid }) => !(known.has(kid) && Object.hasOwn(before?.messages ?? {}, kid)))
    .map(({ kid }) => [kid, message(kid, recipients)]);
  return {
    recipients,
    index: withoutMaterial(keyring),
    messages: { ...before?.messages, ...Object.fromEntries(fresh) },
  };
}

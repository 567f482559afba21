import { PortcullisError } from '../../policy/errors.ts';
import type { KeySetAlgorithm } from '../../policy/keys/algorithms.ts';
import { applyStep, newKeyOf } from '../../policy/keys/apply-step.ts';
import { type Escrow, isEscrowed } from '../../policy/keys/escrow.ts';
import type { KeyMaterial, Keyring } from '../../policy/keys/keyring.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { plan } from '../../policy/keys/plan.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';
import type {
  Acknowledgement,
  EscrowState,
  Halt,
  HaltReason,
  Release,
  Step,
  Traces,
  Wait,
} from '../../policy/keys/step.ts';
import { escrowKeyring, escrowNewKey } from '../escrow/escrow-keys.ts';
import type { Recipients } from '../escrow/recipients.ts';
import { eventsOf, type KeySetEvent } from './key-set-event.ts';
import type { KeySetStore, StoredEscrow, StoredKeyring } from './key-set-store.ts';

/** What one reconciliation works on. */
export interface ReconcileInput {
  readonly spec: KeySetSpec;
  readonly store: KeySetStore;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly generateKey: (algorithm: KeySetAlgorithm) => Promise<KeyMaterial>;
  /** Asked only when `spec.escrow` is there. */
  readonly recipients: () => Promise<Recipients>;
  /** One entry for every counted consumer, with the key set serial it has loaded. */
  readonly acknowledgements: readonly Acknowledgement[];
  /** Told of each event at once, so that it is told even when a later effect throws. */
  readonly onEvent?: (event: KeySetEvent) => void;
}

/** Why it stopped before its end: a halt of the plan, or what apps read may not be written (`exports_refused`). */
export type Stop = Omit<Halt, 'reason'> & { readonly reason: HaltReason | 'ExportsRefused' };

/** What a reconciliation found and did. */
export interface ReconcileResult {
  /** The outputs now in the store; null: there are none. */
  readonly outputs: KeySetOutputs | null;
  /** The keyring now in the store, with its private keys; null: there is none. */
  readonly keyring: Keyring | null;
  readonly recipients: Recipients;
  /** What happened, in order; holds no key material. */
  readonly events: readonly KeySetEvent[];
  /** Why it stopped: nothing to do, nothing that may be done, or the resource may go. */
  readonly end: Wait | Stop | Release;
}

/** More effects than any pass needs, 256 revocations at once too; past it the plan goes round in circles, or another writer does. */
const MAX_EFFECTS = 300;
/** The first key of a set and its standby come at once. Who rotates faster than a pass takes waits for its turn like others. */
const MOST_ADDED = 2;
/** Nothing tells when a Secret that was in the way is gone. */
const LOOK_AGAIN_MS = 60_000;

/**
 * Brings a key set as far as it can go now: observe, plan, one effect, and again until the plan is to wait, to halt or to let
 * the resource go. Safe beside others that do the same: a write that lost a race is planned again. Throws `keyring_conflict`
 * when others keep winning, and what the store throws otherwise.
 */
export async function reconcileKeySet(input: ReconcileInput): Promise<ReconcileResult> {
  const { spec, acknowledgements, onEvent } = input;
  const events: KeySetEvent[] = [];
  const recipients: Recipients = spec.escrow === null ? { kind: 'Off' } : await input.recipients();
  let added = 0;
  for (let effects = 0; effects < MAX_EFFECTS; effects++) {
    const seen = await observe(input, recipients);
    const { outputs, exported, escrow, keyring, traces } = seen;
    const at = input.now();
    const context = { traces, exported, escrow: escrow.state, acknowledgements };
    const step = plan(spec, outputs, keyring?.keyring ?? null, at, context);
    const result = { outputs, keyring: keyring?.keyring ?? null, recipients, events };
    if (step.kind === 'Halt' || step.kind === 'Wait' || step.kind === 'Release') return { ...result, end: step };
    if (step.kind === 'Add' && added++ === MOST_ADDED) {
      return { ...result, end: { kind: 'Wait', until: at, reasons: ['RotationPeriod'], laggards: [] } };
    }
    try {
      for (const event of await carryOut(step, input, seen, recipients, at)) {
        events.push(event);
        onEvent?.(event);
      }
    } catch (error) {
      if (!(error instanceof PortcullisError)) throw error;
      if (error.code === 'exports_refused') {
        const { message } = error;
        return { ...result, end: { kind: 'Halt', reason: 'ExportsRefused', message, until: at + LOOK_AGAIN_MS } };
      }
      if (error.code !== 'keyring_conflict') throw error;
    }
  }
  throw new PortcullisError(
    'keyring_conflict',
    `key set ${spec.namespace}/${spec.name} did not settle in ${MAX_EFFECTS} steps`,
    { retry: 'later' },
  );
}

interface Seen {
  readonly outputs: KeySetOutputs | null;
  readonly exported: boolean;
  readonly escrow: { readonly stored: StoredEscrow | null; readonly state: EscrowState };
  readonly traces: Traces | null;
  readonly keyring: StoredKeyring | null;
}

/** Reads everything, the keyring last. */
async function observe({ spec, store }: ReconcileInput, recipients: Recipients): Promise<Seen> {
  const outputs = await store.readOutputs();
  const exported = await store.isExported(outputs);
  const stored = await store.readEscrow();
  const others = await store.readTraces();
  const keyring = await store.readKeyring();
  return {
    outputs,
    exported,
    escrow: { stored, state: escrowState(spec, recipients, stored?.escrow ?? null, keyring?.keyring ?? null) },
    traces: tracesOf(stored, others),
    keyring,
  };
}

function escrowState(
  { deletion }: KeySetSpec,
  recipients: Recipients,
  escrow: Escrow | null,
  keyring: Keyring | null,
): EscrowState {
  if (recipients.kind === 'Usable') {
    return { kind: 'Usable', current: keyring === null || isEscrowed(keyring, escrow, recipients.fingerprints) };
  }
  // A namespace that is deleted takes its recipients along; what has been encrypted to them is kept all the same.
  const kept = deletion !== null && keyring !== null && isEscrowed(keyring, escrow, escrow?.recipients ?? []);
  return kept ? { kind: 'Usable', current: true } : recipients;
}

/** An escrow with messages and no index is of a key that never made it into a keyring. */
function tracesOf(stored: StoredEscrow | null, others: Traces | null): Traces | null {
  const index = stored?.escrow.index ?? null;
  return index === null ? others : { serial: Math.max(index.serial, others?.serial ?? 0) };
}

async function carryOut(
  step: Exclude<Step, Wait | Halt | Release>,
  { spec, store, generateKey }: ReconcileInput,
  { keyring: stored, escrow }: Seen,
  recipients: Recipients,
  at: number,
): Promise<readonly KeySetEvent[]> {
  const before = stored?.keyring ?? null;
  switch (step.kind) {
    case 'WriteOutputs':
      await store.writeOutputs(step.outputs);
      return [];
    case 'WriteExports':
      await store.writeExports(step.outputs);
      return [];
    case 'WriteEscrow': {
      if (recipients.kind !== 'Usable' || before === null) return [];
      const next = await escrowKeyring(before, escrow.stored?.escrow ?? null, recipients);
      await store.writeEscrow(next, escrow.stored?.version ?? null);
      return [];
    }
    case 'Erase':
      await store.erase(stored?.version ?? null);
      return eventsOf(step, before, null);
    default: {
      const wanted = newKeyOf(step);
      const made = wanted === null ? null : await generateKey(wanted.algorithm);
      const next = applyStep(spec, before, step, made, at);
      if (made !== null && recipients.kind === 'Usable') {
        // Before anything may expose it, even to ourselves.
        const name = `${spec.namespace}/${spec.name}`;
        const escrowed = await escrowNewKey(name, made, escrow.stored?.escrow ?? null, recipients);
        await store.writeEscrow(escrowed, escrow.stored?.version ?? null);
      }
      await store.writeKeyring(next, stored?.version ?? null);
      return eventsOf(step, before, next);
    }
  }
}

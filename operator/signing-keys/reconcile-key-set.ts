import type { JwtAlgorithm } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { applyStep, newKeyOf } from '../../policy/keys/apply-step.ts';
import type { KeyMaterial, Keyring } from '../../policy/keys/keyring.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { plan } from '../../policy/keys/plan.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';
import type { Acknowledgement, Halt } from '../../policy/keys/step.ts';
import { eventOf, type KeySetEvent } from './key-set-event.ts';
import type { KeySetStore } from './key-set-store.ts';

/** What one reconciliation works on. */
export interface ReconcileInput {
  readonly spec: KeySetSpec;
  readonly store: KeySetStore;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly generateKey: (algorithm: JwtAlgorithm) => Promise<KeyMaterial>;
  /** One entry for every counted consumer, with the key set serial it has loaded. */
  readonly acknowledgements: readonly Acknowledgement[];
}

/** What a reconciliation found and did. */
export interface ReconcileResult {
  /** The outputs now in the store; null: there are none. */
  readonly outputs: KeySetOutputs | null;
  /** The keyring now in the store, with its private keys; null: there is none. */
  readonly keyring: Keyring | null;
  /** What happened, in order; holds no key material. */
  readonly events: readonly KeySetEvent[];
  /** Why the key set stands still until a person acts or the clock catches up; null: it does not. */
  readonly halt: Halt | null;
  /** Epoch milliseconds at which to come again; null: only when spec, store or acknowledgements change. */
  readonly nextAt: number | null;
}

/** More effects than any pass needs; past it the plan goes round in circles, or another writer does. */
const MAX_EFFECTS = 100;

/**
 * Brings a key set as far as it can go now: observe, plan, one effect, and again until the plan is to wait or to halt.
 * Safe beside others that do the same: a write that lost a race is planned again. Throws `keyring_invalid` when the
 * keyring is damaged, `keyring_conflict` when others keep winning, and what the store throws.
 */
export async function reconcileKeySet(input: ReconcileInput): Promise<ReconcileResult> {
  const { spec, store, now, generateKey, acknowledgements } = input;
  const events: KeySetEvent[] = [];
  for (let effects = 0; effects < MAX_EFFECTS; effects++) {
    const outputs = await store.readOutputs();
    const stored = await store.readKeyring();
    const keyring = stored?.keyring ?? null;
    const initialised = keyring !== null || (await store.wasInitialised());
    const context = { initialised, acknowledgements };
    const at = now();
    const step = plan(spec, outputs, keyring, at, context);
    switch (step.kind) {
      case 'Halt':
        return { outputs, keyring, events, halt: step, nextAt: step.until };
      case 'Wait':
        return { outputs, keyring, events, halt: null, nextAt: step.until };
      case 'WriteOutputs':
        await store.writeOutputs(step.outputs);
        events.push(eventOf(step, null));
        break;
      default: {
        const wanted = newKeyOf(step);
        const made = wanted === null ? null : await generateKey(wanted.algorithm);
        const next = applyStep(spec, keyring, step, made, at);
        if (await written(() => store.writeKeyring(next, stored?.version ?? null))) events.push(eventOf(step, made));
      }
    }
  }
  throw new PortcullisError(
    'keyring_conflict',
    `key set ${spec.namespace}/${spec.name} did not settle in ${MAX_EFFECTS} steps`,
    { retry: 'later' },
  );
}

async function written(write: () => Promise<void>): Promise<boolean> {
  try {
    await write();
    return true;
  } catch (error) {
    if (error instanceof PortcullisError && error.code === 'keyring_conflict') return false;
    throw error;
  }
}

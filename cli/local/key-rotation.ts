import { generateKey } from '../../operator/signing-keys/generate-key.ts';
import type { KeySetEvent } from '../../operator/signing-keys/key-set-event.ts';
import { type ReconcileResult, reconcileKeySet } from '../../operator/signing-keys/reconcile-key-set.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { keySetSpecOf } from '../../policy/keys/key-set-spec-of.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import type { Acknowledgement } from '../../policy/keys/step.ts';
import { DirectoryKeyStore } from './directory-key-store.ts';

const RETRY_MS = 5_000;

/** Bookkeeping between a decision and the next, of no interest to people. */
const QUIET: ReadonlySet<KeySetEvent['reason']> = new Set(['OutputsWritten', 'OutputsConfirmed', 'GracesExtended']);

/** What one pass over the key sets came to. */
export interface RotationPass {
  /** Something happened: outputs may be new, and another pass may find more to do. */
  readonly changed: boolean;
  /** Epoch milliseconds at which to come again; null: only when specs or acknowledgements change. */
  readonly nextAt: number | null;
}

/** Plans and carries out the life of every key set of a policy directory, with the operator's planner. */
export class KeyRotation {
  readonly #state: string;
  readonly #now: () => number;
  readonly #say: (line: string) => void;
  readonly #outputs = new Map<string, KeySetOutputs>();
  /** What was last said of a key set that stands still. */
  readonly #standing = new Map<string, string>();

  /** `say` is told, once, what happens to keys; never key material. */
  constructor(state: string, now: () => number, say: (line: string) => void) {
    this.#state = state;
    this.#now = now;
    this.#say = say;
  }

  /** What a key set's keyring rendered last; null: nothing yet. */
  outputsOf(keySet: SigningKeySet): KeySetOutputs | null {
    return this.#outputs.get(nameOf(keySet)) ?? null;
  }

  /** Why a key set stands still, or null. */
  standingOf(keySet: SigningKeySet): string | null {
    return this.#standing.get(nameOf(keySet)) ?? null;
  }

  /** Brings every key set as far as it can go now. `acknowledgedBy` tells which serial its consumers have loaded. */
  async pass(
    keySets: readonly SigningKeySet[],
    acknowledgedBy: (keySet: string) => readonly Acknowledgement[],
  ): Promise<RotationPass> {
    let changed = false;
    let nextAt: number | null = null;
    for (const keySet of keySets) {
      const result = await this.#reconcile(keySet, acknowledgedBy);
      const at = result === null ? this.#now() + RETRY_MS : result.nextAt;
      if (at !== null) nextAt = Math.min(nextAt ?? at, at);
      changed ||= (result?.events.length ?? 0) > 0;
    }
    return { changed, nextAt };
  }

  async #reconcile(
    resource: SigningKeySet,
    acknowledgedBy: (keySet: string) => readonly Acknowledgement[],
  ): Promise<ReconcileResult | null> {
    const name = nameOf(resource);
    const spec = keySetSpecOf(resource);
    try {
      const store = await DirectoryKeyStore.open(this.#state, spec);
      const acknowledgements = acknowledgedBy(name);
      const result = await reconcileKeySet({ spec, store, now: this.#now, generateKey, acknowledgements });
      for (const { reason, message } of result.events) {
        if (!QUIET.has(reason)) this.#say(`key set ${name}: ${message}`);
      }
      if (result.outputs !== null) this.#outputs.set(name, result.outputs);
      this.#stands(name, result.halt === null ? null : `${result.halt.reason}: ${result.halt.message}`);
      return result;
    } catch (error) {
      this.#stands(name, error instanceof PortcullisError ? error.message : String(error));
      return null;
    }
  }

  #stands(name: string, why: string | null): void {
    if (why === null) this.#standing.delete(name);
    else if (this.#standing.get(name) !== why) {
      this.#standing.set(name, why);
      this.#say(`key set ${name} stands still: ${why}`);
    }
  }
}

function nameOf({ metadata }: SigningKeySet): string {
  return `${metadata.namespace}/${metadata.name}`;
}

import { dirname } from 'node:path';
import { generateKey } from '../../operator/signing-keys/generate-key.ts';
import { type ReconcileResult, reconcileKeySet } from '../../operator/signing-keys/reconcile-key-set.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { keySetSpecOf } from '../../policy/keys/key-set-spec-of.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import type { KeySetSpec } from '../../policy/keys/spec.ts';
import type { Acknowledgement } from '../../policy/keys/step.ts';
import type { CheckedPolicies } from './check-policies.ts';
import { DirectoryKeyStore, tokenTermsOf } from './directory-key-store.ts';
import { recipientsIn } from './escrow-recipients.ts';

const RETRY_MS = 5_000;

/** Plans and carries out the life of every key set of a policy directory, with the operator's planner. */
export class KeyRotation {
  readonly #state: string;
  readonly #now: () => number;
  readonly #say: (line: string) => void;
  readonly #outputs = new Map<string, KeySetOutputs>();
  /** What was last said of a key set that is not as it should be. */
  readonly #troubles = new Map<string, string>();

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

  /** Why a key set is not as it should be, or null. */
  troubleOf(keySet: SigningKeySet): string | null {
    return this.#troubles.get(nameOf(keySet)) ?? null;
  }

  /**
   * Brings every key set as far as it can go now. `acknowledgedBy` tells which serial its consumers have loaded. Resolves to
   * the epoch milliseconds at which to come again; null: only when specs or acknowledgements change.
   */
  async pass(
    { keySets, secrets }: Pick<CheckedPolicies, 'keySets' | 'secrets'>,
    acknowledgedBy: (keySet: string) => readonly Acknowledgement[],
  ): Promise<number | null> {
    const times: number[] = [];
    for (const keySet of keySets) {
      const spec = keySetSpecOf(keySet);
      const recipients = () => recipientsIn(secrets, spec, this.#now());
      const at = await this.#reconcile(keySet, spec, recipients, acknowledgedBy(nameOf(keySet)));
      if (at !== null) times.push(at);
    }
    return times.length === 0 ? null : Math.min(...times);
  }

  async #reconcile(
    resource: SigningKeySet,
    spec: KeySetSpec,
    recipients: () => ReturnType<typeof recipientsIn>,
    acknowledgements: readonly Acknowledgement[],
  ): Promise<number | null> {
    const name = nameOf(resource);
    try {
      const terms = tokenTermsOf(resource);
      const store =
        terms === null ? new DirectoryKeyStore(this.#state, spec) : await DirectoryKeyStore.open(this.#state, terms);
      const result = await reconcileKeySet({ spec, store, now: this.#now, generateKey, recipients, acknowledgements });
      for (const { message } of result.events) this.#say(`key set ${name}: ${message}`);
      if (result.outputs !== null) this.#outputs.set(name, result.outputs);
      this.#mind(name, troubleIn(spec, result, dirname(store.exportsDirectory)));
      return result.end.kind === 'Release' ? null : result.end.until;
    } catch (error) {
      this.#mind(name, `stands still: ${error instanceof PortcullisError ? error.message : String(error)}`);
      return this.#now() + RETRY_MS;
    }
  }

  #mind(name: string, trouble: string | null): void {
    if (trouble === null) this.#troubles.delete(name);
    else if (this.#troubles.get(name) !== trouble) {
      this.#troubles.set(name, trouble);
      this.#say(`key set ${name} ${trouble}`);
    }
  }
}

/** What keeps a key set from being as it should be, or null. */
function troubleIn(
  { rotation, maxTokenLifetimeMs }: KeySetSpec,
  { end, recipients }: ReconcileResult,
  directory: string,
): string | null {
  if (end.kind === 'Halt') {
    const isElsewhere = end.reason === 'KeyringLost' || end.reason === 'RolledBack';
    const here = isElsewhere ? `; without a cluster the keyring is ${directory}/keyring.*.json: put a backup back` : '';
    return `stands still: ${end.reason}: ${end.message}${here}`;
  }
  if (recipients.kind === 'Unusable') return `has keys that are not escrowed: ${recipients.message}`;
  if (end.kind === 'Wait' && end.reasons.includes('MaxKeys')) {
    const forever = maxTokenLifetimeMs === null;
    const remedy = forever ? '; re-encrypt what the oldest of them encrypted, then revoke those' : '';
    return `cannot prepare its next key: it holds ${rotation.maxKeys} already (rotation.maxKeys)${remedy}`;
  }
  return null;
}

function nameOf({ metadata }: SigningKeySet): string {
  return `${metadata.namespace}/${metadata.name}`;
}

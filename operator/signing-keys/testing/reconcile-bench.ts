import assert from 'node:assert/strict';
import type { DeletionSpec, EscrowSpec, KeySetSpec } from '../../../policy/keys/spec.ts';
import { fakeKey, SPEC } from '../../../policy/keys/testing/fixtures.ts';
import type { Recipients } from '../../escrow/recipients.ts';
import { type ReconcileInput, type ReconcileResult, reconcileKeySet } from '../reconcile-key-set.ts';
import { fakeRecipients } from './fake-recipients.ts';
import { MemoryKeyStore } from './memory-key-store.ts';

/** Escrow that is required. */
export const ESCROW: EscrowSpec = { recipientsSecret: 'ops', required: true };
/** SPEC with it. */
export const ESCROWED: KeySetSpec = { ...SPEC, escrow: ESCROW };
/** What is read before each plan, in order. */
export const READS = 'readOutputs isExported readEscrow readTraces readKeyring';

/** One controller of a key set in memory, with a clock, acknowledgements and recipients that are set by hand. */
export class ReconcileBench {
  readonly store = new MemoryKeyStore();
  spec: KeySetSpec;
  at = 1_000_000_000_000;
  acknowledged: { consumer: string; serial: number }[] = [];
  recipients: Recipients = fakeRecipients('AAAA');
  keys = 0;

  constructor(spec = SPEC) {
    this.spec = spec;
  }

  input(store = this.store): ReconcileInput {
    return {
      spec: this.spec,
      store,
      now: () => this.at,
      generateKey: async (algorithm) => fakeKey(++this.keys, algorithm),
      recipients: async () => this.recipients,
      acknowledgements: this.acknowledged,
    };
  }

  async reconcile(): Promise<ReconcileResult> {
    return await reconcileKeySet(this.input());
  }

  /** Calls since the last time that are no reads; every pass of the plan must have read everything in order before its own. */
  effects(): string[] {
    const passes = this.store.log.splice(0).join(' ').split(READS);
    const effects = passes.map((effect) => effect.trim());
    assert.ok(
      effects.every((effect) => !effect.includes('read')),
      effects.join('; '),
    );
    return effects.filter((effect) => effect !== '');
  }

  delete(deletion: DeletionSpec): void {
    this.spec = { ...this.spec, deletion };
  }
}

/** Reasons of its events. */
export function reasons({ events }: Pick<ReconcileResult, 'events'>): string {
  return events.map(({ reason }) => reason).join(' ');
}

/** What it stopped for: `Halt KeyringLost`, `Wait MaxKeys RotationPeriod`, `Release`. */
export function ending({ end }: Pick<ReconcileResult, 'end'>): string {
  if (end.kind === 'Wait') return ['Wait', ...end.reasons].join(' ');
  return end.kind === 'Halt' ? `Halt ${end.reason}` : end.kind;
}

/** Why it halted. */
export function message({ end }: Pick<ReconcileResult, 'end'>): string {
  return end.kind === 'Halt' ? end.message : '';
}

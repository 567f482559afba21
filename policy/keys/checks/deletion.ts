import type { Keyring } from '../keyring.ts';
import type { KeySetOutputs } from '../outputs.ts';
import type { DeletionSpec, KeySetSpec } from '../spec.ts';
import type { PlanContext, Step } from '../step.ts';
import { rollback } from './safety.ts';

/**
 * A resource that is being deleted: Retain leaves every Secret as it is, Delete removes all but the escrow, once that
 * holds every key or the loss is accepted. The index of a newer keyring is never replaced by that of one that was rolled back.
 */
export function deleting(
  spec: KeySetSpec,
  { policy, forced }: DeletionSpec,
  outputs: KeySetOutputs | null,
  keyring: Keyring | null,
  context: PlanContext,
): Step {
  const { escrow, exported } = context;
  const nothingLeft = outputs === null && keyring === null && exported;
  if (policy === 'Retain' || nothingLeft) return { kind: 'Release' };
  if (forced || keyring === null) return { kind: 'Erase' };
  if (escrow.kind === 'Unusable') {
    return {
      kind: 'Halt',
      reason: 'EscrowUnavailable',
      message: `its keys are not deleted, because they cannot be escrowed first: ${escrow.message}. To delete them for ever, annotate it with portcullis.dev/force-delete and its uid`,
      until: null,
    };
  }
  if (escrow.kind === 'Off' || escrow.current) return { kind: 'Erase' };
  return rollback({ spec, outputs, keyring, context }) ?? { kind: 'WriteEscrow' };
}

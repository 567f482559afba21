import type { KeySetSpec } from '../spec.ts';
import type { Check, PlanContext } from '../step.ts';

/**
 * Keys that are not escrowed yet, to these recipients, are. A new key is encrypted before it enters the keyring; this is for
 * those that were there before the escrow or its recipients, and keeps the index as new as the keyring.
 */
export const escrowStale: Check = {
  name: 'escrow-stale',
  decide({ context: { escrow } }) {
    if (escrow.kind === 'Unusable') return { kind: 'Wait', until: null, reasons: ['EscrowUnavailable'], laggards: [] };
    return escrow.kind === 'Usable' && !escrow.current ? { kind: 'WriteEscrow' } : null;
  },
};

/** Whether no key may be made, because it could not be escrowed. */
export function escrowLacking({ escrow: wanted }: KeySetSpec, { escrow }: PlanContext): boolean {
  return escrow.kind === 'Unusable' && wanted?.required === true;
}

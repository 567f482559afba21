import { deleting } from './checks/deletion.ts';
import { escrowStale } from './checks/escrow.ts';
import { exportsStale, outputsStale, unconfirmed } from './checks/publishing.ts';
import { graceOver, privateHalfUnused } from './checks/retirement.ts';
import { revocation } from './checks/revocation.ts';
import {
  gracesRaised,
  nextKeyActivation,
  nextKeyMissing,
  rotateRequested,
  standbyUnsuitable,
} from './checks/rotation.ts';
import { anotherUse, clockSkew, keyringMissing, rolledBack } from './checks/safety.ts';
import type { Keyring } from './keyring.ts';
import type { KeySetOutputs } from './outputs.ts';
import type { KeySetSpec } from './spec.ts';
import type { Check, PlanContext, Step, Wait } from './step.ts';

/**
 * The rules in the order in which they speak. Revocation precedes the clock's check on purpose: a wrong clock must not
 * keep a stolen key alive. The escrow precedes the outputs, so that its index is never behind what pods have seen.
 */
const checks: readonly Check[] = [
  rolledBack,
  anotherUse,
  revocation,
  escrowStale,
  outputsStale,
  exportsStale,
  unconfirmed,
  clockSkew,
  gracesRaised,
  rotateRequested,
  standbyUnsuitable,
  nextKeyMissing,
  nextKeyActivation,
  privateHalfUnused,
  graceOver,
];

/**
 * The one step that a key set needs now, after which everything is read again. Pure; `now` in epoch milliseconds.
 * `outputs` and `context` must have been read before `keyring`: the other order sees
 * rollbacks where there are none.
 */
export function plan(
  spec: KeySetSpec,
  outputs: KeySetOutputs | null,
  keyring: Keyring | null,
  now: number,
  context: PlanContext,
): Step {
  if (spec.deletion !== null) return deleting(spec, spec.deletion, outputs, keyring, context);
  if (keyring === null) return keyringMissing(spec, outputs, context);
  const waits: Wait[] = [];
  for (const check of checks) {
    const step = check.decide({ spec, outputs, keyring, now, context });
    if (step === null) continue;
    if (step.kind !== 'Wait') return step;
    waits.push(step);
  }
  return earliest(waits);
}

function earliest(waits: readonly Wait[]): Wait {
  const times = waits.flatMap(({ until }) => (until === null ? [] : [until]));
  return {
    kind: 'Wait',
    until: times.length === 0 ? null : Math.min(...times),
    reasons: [...new Set(waits.flatMap(({ reasons }) => reasons))],
    laggards: waits.flatMap(({ laggards }) => laggards),
  };
}

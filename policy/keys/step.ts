import type { JwtAlgorithm } from '../bundle/types.ts';
import type { Keyring } from './keyring.ts';
import type { KeySetOutputs } from './outputs.ts';
import type { KeySetSpec } from './spec.ts';

/** A counted consumer of the outputs and the highest key set serial that it says it has loaded; 0: none. */
export interface Acknowledgement {
  readonly consumer: string;
  readonly serial: number;
}

/** What else the planner must know. */
export interface PlanContext {
  /** Whether key material ever existed, by any trace of it other than the keyring. */
  readonly initialised: boolean;
  /** One entry for every counted consumer: pod not terminating, sidecar running, node Ready. */
  readonly acknowledgements: readonly Acknowledgement[];
}

/** Why nothing may be done. */
export type HaltReason = 'KeyringLost' | 'RolledBack' | 'ClockSkew';

/** What the next change waits for. */
export type WaitReason =
  | 'RotationPeriod'
  | 'Suspended'
  | 'PrePublish'
  | 'Acknowledgements'
  | 'MaxKeys'
  | 'PrivateHalfInUse'
  | 'TokensAlive';

/** A key to be made by the effect. */
export interface NewKey {
  readonly kind: 'NewKey';
  readonly algorithm: JwtAlgorithm;
}

/** Which key takes the place of a revoked active one. */
export type Successor = NewKey | { readonly kind: 'Standby'; readonly kid: string };

/** Nothing to do before `until` (epoch milliseconds); null: nothing until something else changes. */
export interface Wait {
  readonly kind: 'Wait';
  readonly until: number | null;
  readonly reasons: readonly WaitReason[];
  /** Counted consumers that have not loaded the next key. */
  readonly laggards: readonly string[];
}

/** Nothing may be done; `until`: when it may be over by itself (epoch milliseconds), null: only a person can help. */
export interface Halt {
  readonly kind: 'Halt';
  readonly reason: HaltReason;
  readonly message: string;
  readonly until: number | null;
}

/** A step that changes the keyring by one conditional write. */
export type KeyringStep =
  | { readonly kind: 'Create'; readonly key: NewKey }
  | { readonly kind: 'Revoke'; readonly kid: string; readonly reason: string; readonly successor: Successor | null }
  | { readonly kind: 'Confirm' }
  | { readonly kind: 'ExtendGraces' }
  | { readonly kind: 'AcceptRotateRequest'; readonly request: string }
  | { readonly kind: 'DiscardStandby'; readonly kid: string }
  | { readonly kind: 'Add'; readonly key: NewKey }
  | { readonly kind: 'Activate'; readonly kid: string; readonly laggards: readonly string[] }
  | { readonly kind: 'ErasePrivateHalf'; readonly kid: string }
  | { readonly kind: 'Drop'; readonly kid: string };

/** A step that writes the outputs. */
export interface WriteOutputs {
  readonly kind: 'WriteOutputs';
  readonly outputs: KeySetOutputs;
}

/** Exactly one effect, after which everything is read again. */
export type Step = Halt | KeyringStep | WriteOutputs | Wait;

/** What a check looks at. */
export interface Situation {
  readonly spec: KeySetSpec;
  readonly outputs: KeySetOutputs | null;
  readonly keyring: Keyring;
  readonly now: number;
  readonly context: PlanContext;
}

/**
 * One rule of the planner, named. A step other than Wait ends the plan; a Wait says when this rule may have something
 * to do and lets the later rules speak; null: nothing, ever, as things are.
 */
export interface Check {
  readonly name: string;
  readonly decide: (situation: Situation) => Step | null;
}

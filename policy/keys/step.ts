import type { KeySetAlgorithm } from './algorithms.ts';
import type { Keyring } from './keyring.ts';
import type { KeySetOutputs } from './outputs.ts';
import type { KeySetSpec } from './spec.ts';

/** A counted consumer of the outputs and the highest key set serial that it says it has loaded; 0: none. */
export interface Acknowledgement {
  readonly consumer: string;
  readonly serial: number;
}

/** Whether keys can be escrowed, and whether those of the keyring are. */
export type EscrowState =
  | { readonly kind: 'Off' }
  | { readonly kind: 'Usable'; readonly current: boolean }
  /** No recipient can be encrypted to; `message`: why, and what to do. */
  | { readonly kind: 'Unusable'; readonly message: string };

/** What else the planner must know. All of it is read before the keyring. */
export interface PlanContext {
  /** What is left of a keyring besides the keyring; null: nothing says that there ever was one. */
  readonly traces: Traces | null;
  /** What others read besides the outputs (the Secret in the key set's namespace) is what the outputs say. */
  readonly exported: boolean;
  readonly escrow: EscrowState;
  /** One entry for every counted consumer: pod not terminating, sidecar running, node Ready. */
  readonly acknowledgements: readonly Acknowledgement[];
}

/** Signs of a keyring that are not the keyring: outputs, escrow, status, annotation, exports. */
export interface Traces {
  /** The highest serial that any of them shows and that users cannot write; 0: none shows one. */
  readonly serial: number;
}

/** Why nothing may be done. */
export type HaltReason = 'KeyringLost' | 'RolledBack' | 'AlgorithmConflict' | 'ClockSkew' | 'EscrowUnavailable';

/** What the next change waits for. */
export type WaitReason =
  | 'RotationPeriod'
  | 'Suspended'
  | 'PrePublish'
  | 'Acknowledgements'
  | 'MaxKeys'
  | 'EscrowUnavailable'
  | 'PrivateHalfInUse'
  | 'TokensAlive';

/** A key to be made by the effect. */
export interface NewKey {
  readonly kind: 'NewKey';
  readonly algorithm: KeySetAlgorithm;
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
  /** `serial`: the first; above 1 where a loss was accepted. */
  | { readonly kind: 'Create'; readonly key: NewKey; readonly serial: number }
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

/** A step that brings what others read besides the outputs in line with them. */
export interface WriteExports {
  readonly kind: 'WriteExports';
  readonly outputs: KeySetOutputs;
}

/** A step that encrypts what is not yet encrypted, and writes the escrow's index. */
export interface WriteEscrow {
  readonly kind: 'WriteEscrow';
}

/** A step that removes exports, outputs and keyring of a key set that is being deleted; never the escrow. */
export interface Erase {
  readonly kind: 'Erase';
}

/** Nothing is left to do for a key set that is being deleted: its finalizer may go. */
export interface Release {
  readonly kind: 'Release';
}

/** Exactly one effect, after which everything is read again. */
export type Step = Halt | KeyringStep | WriteOutputs | WriteExports | WriteEscrow | Erase | Release | Wait;

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

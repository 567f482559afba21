import type { Capture } from '../config.ts';
import type { Namespace, Pod, Service } from '../kube/objects.ts';

/**
 * Why a pod is not guarded, or is guarded by refusing everything; a closed list, each explained in docs/injection.md.
 * `NotAsked` to `AlreadyInjected`: the pod is left alone. `Conflicted` to `NoPorts`: it is injected and refuses all traffic.
 */
export type CoverageReason =
  | 'NotAsked'
  | 'Disabled'
  | 'OptedOut'
  | 'HostNetwork'
  | 'AlreadyInjected'
  | 'Conflicted'
  | 'RequiredSecretMissing'
  | 'NoPorts';

/** Why one port of a pod is left alone; a closed list, each explained in docs/injection.md. */
export type PortReason = 'SkipPorts' | 'Protocol' | 'NumericTargetPort' | 'NotTargeted' | 'PortNotFound';

/** What coverage is computed from: the pod as it was sent, its namespace, and the Services of that namespace. */
export interface CoverageInput {
  readonly pod: Pod;
  readonly namespace: Namespace;
  readonly services: readonly Service[];
  readonly defaultCapture: Capture;
  /** Whether a Secret of the pod's namespace has the key; null: not known. */
  readonly hasSecretKey: (secret: string, key: string) => boolean | null;
}

/** One port of the application that the sidecar takes over. */
export interface CoveredPort {
  /** Number that the application listens on. */
  readonly port: number;
  /** Name that Services follow, moved to the sidecar in Takeover; null: numeric. */
  readonly name: string | null;
  /** Names of the Services that target it. */
  readonly services: readonly string[];
}

/** What is asked of a pod, resolved from its own annotations, its Services' and its namespace's. */
export interface CoverageSettings {
  readonly accessPolicy: string;
  readonly rateLimitPolicy: string | null;
  readonly capture: Capture;
  /** With Bind: the variable that makes the app listen on 127.0.0.1; null: none asked. */
  readonly bindEnv: string | null;
  readonly harden: 'Restricted' | 'ReadOnly' | null;
  readonly rollout: 'Auto' | 'Report';
  readonly networkPolicy: 'Generate' | null;
  readonly requiredSecrets: readonly { readonly secret: string; readonly key: string }[];
}

/** Whether and how one pod is guarded. */
export interface Coverage {
  /** Null: the pod is not injected. */
  readonly settings: CoverageSettings | null;
  /** Why the pod is left alone or refuses everything; null: neither. */
  readonly reason: CoverageReason | null;
  /** Whether the pod must not be admitted at all: what its namespace requires cannot be done (hostNetwork under Required). */
  readonly deny: boolean;
  readonly ports: readonly CoveredPort[];
  readonly skippedPorts: readonly { readonly port: number | string; readonly reason: PortReason }[];
  /** Sentences for people, each saying what to write instead. */
  readonly warnings: readonly string[];
}

import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import type { AccessBundle, LimitsBundle } from '../policy/bundle/types.ts';
import type { LogSink } from '../runtime/log.ts';
import type { BundleLocation } from './bundle-source/bundle-source.ts';
import type { CandidateLocations } from './candidates/candidates.ts';
import type { CompiledEgress } from './egress/compile-brokers.ts';
import type { Pipeline } from './engine/engine-context.ts';
import type { Breakers } from './filters/breakers.ts';
import type { BodyValidators } from './filters/validate-body.ts';
import type { LoadMonitor } from './load/load-monitor.ts';
import type { SidecarMetrics } from './metrics/sidecar-metrics.ts';
import type { BlockStore } from './stores/blocks.ts';
import type { Stores } from './stores/open-stores.ts';
import type { TokenVerifier } from './tokens/token-verifier.ts';

/** The bundles that a sidecar is told to enforce. */
export interface BundleLocations {
  /** Ed25519 key of the only writer that is believed. */
  readonly publicKey: KeyObject;
  readonly access: BundleLocation;
  readonly limits: BundleLocation | null;
  /** What tokens are signed by; absent: this sidecar signs none. */
  readonly issuer?: BundleLocation;
  /** Of policies that are only tried; absent: there are none. */
  readonly candidates?: CandidateLocations;
}

/** What enforcement is made from. */
export interface EnforcementOptions {
  readonly bundles: BundleLocations;
  readonly metrics: SidecarMetrics;
  readonly sink: LogSink;
  readonly log: Logger;
  /** Name of this process among those that share a store. */
  readonly replica: string;
  /** Whether what the access policy says of `tokens` is for this sidecar. */
  readonly issueTokens: boolean;
  /** What clients speak. */
  readonly scheme: 'http' | 'https';
  readonly load: LoadMonitor;
  /** Those of the application's ports. */
  readonly breakers: Breakers;
  /** Puts a pipeline in force. */
  readonly use: (pipeline: Pipeline) => void;
  /** Puts what the application may ask of others in force; null: nothing. */
  readonly useEgress: (egress: CompiledEgress | null) => void;
}

/** The policies that are enforced now. */
export interface Policies {
  readonly access: AccessBundle;
  /** Null where no RateLimitPolicy applies. */
  readonly limits: LimitsBundle | null;
  readonly verifier: TokenVerifier;
  /** Whether what the access policy says of `tokens` is for this sidecar. */
  readonly issuesTokens: boolean;
  /** What clients speak; default http. */
  readonly scheme?: 'http' | 'https';
  /** Of `access`, as compileBodies makes them. Absent: to be compiled. */
  readonly bodies?: BodyValidators;
  /** Measures in force now. Absent: nobody is blocked. */
  readonly blocks?: BlockStore;
  /** Revocations as they are known now. Absent: none. */
  readonly revocationsOf?: Stores['revocationsOf'];
}

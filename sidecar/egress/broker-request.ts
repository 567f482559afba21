import type { CircuitBreaker } from '../../policy/evaluate/circuit-breaker/circuit-breaker.ts';
import type { NormalizedPath } from '../../policy/evaluate/normalize-path.ts';
import type { CheckedHead } from '../engine/check-head.ts';
import type { LimiterStore } from '../stores/limiter-store.ts';
import type { BrokerConnections } from './broker-connections.ts';
import type { CompiledBroker } from './compile-brokers.ts';
import type { RetryLabel } from './egress-metrics.ts';
import type { EgressRequest } from './egress-request.ts';

/** A request and the broker that it is for. */
export interface BrokerRequest {
  readonly id: string;
  /** performance.now() of its head, milliseconds. */
  readonly startedAt: number;
  readonly broker: CompiledBroker;
  readonly connections: BrokerConnections;
  /** Null: there is none. */
  readonly breaker: CircuitBreaker | null;
  readonly head: CheckedHead;
  /** The one behind the broker's name, which was decided on. */
  readonly path: NormalizedPath;
  /** With its leading `?`, or the empty string. */
  readonly query: string;
}

/** What requests to brokers share. */
export interface EgressRequestContext {
  readonly limiter: LimiterStore;
  /** Whether the rate is only counted. */
  readonly shadow: boolean;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly onThrottled: (broker: CompiledBroker) => void;
  readonly onCircuitOpen: (broker: CompiledBroker) => void;
  readonly onRetry: (broker: CompiledBroker, reason: RetryLabel) => void;
  readonly onFault: (error: unknown) => void;
  readonly onFinish: (request: EgressRequest) => void;
}

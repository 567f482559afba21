import { parseByteSize } from '../api/byte-size.ts';
import { parseDuration } from '../api/duration.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import type { CircuitBreakerConfig } from '../bundle/circuit-breaker.ts';
import type { ConnectionsConfig } from '../bundle/connections.ts';
import type { Findings } from './finding.ts';

type Spec = RateLimitPolicy['spec'];

/** What a policy says of connections and of the circuit breaker; a member that it leaves out is absent. */
export function compileConnections(
  { connections, circuitBreaker }: Pick<Spec, 'connections' | 'circuitBreaker'>,
  findings: Findings,
): { readonly connections?: ConnectionsConfig; readonly circuitBreaker?: CircuitBreakerConfig } {
  if (connections?.messagesPerSecond !== undefined && connections.maxMessageBytes === undefined) {
    findings.warn(
      ['spec', 'connections', 'messagesPerSecond'],
      'limits the number of messages and not their size; write maxMessageBytes too, such as 1Mi',
    );
  }
  return {
    ...(connections !== undefined && { connections: inBytesAndMs(connections) }),
    ...(circuitBreaker !== undefined && {
      circuitBreaker: compileCircuitBreaker(circuitBreaker),
    }),
  };
}

/** The numbers of a circuit breaker, durations in milliseconds. */
export function compileCircuitBreaker(spec: NonNullable<Spec['circuitBreaker']>): CircuitBreakerConfig {
  return {
    failureRatio: spec.failureRatio,
    minimumRequests: spec.minimumRequests,
    windowMs: parseDuration(spec.window) ?? 1,
    openForMs: parseDuration(spec.openFor) ?? 1,
    halfOpenRequests: spec.halfOpenRequests,
  };
}

function inBytesAndMs({
  maxMessageBytes,
  idleTimeout,
  ...numbers
}: NonNullable<Spec['connections']>): ConnectionsConfig {
  return {
    ...numbers,
    ...(maxMessageBytes !== undefined && { maxMessageBytes: parseByteSize(maxMessageBytes) ?? 1 }),
    ...(idleTimeout !== undefined && { idleTimeoutMs: parseDuration(idleTimeout) ?? 1 }),
  };
}

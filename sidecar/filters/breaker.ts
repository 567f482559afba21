import { REFUSED } from '../../policy/evaluate/circuit-breaker/circuit-breaker.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Denial, denial, type Filter } from '../pipeline/filter.ts';
import type { Breakers } from './breakers.ts';

/** Answers of the application that say that it cannot serve; a 500 is about one request. */
const FAILING: ReadonlySet<number> = new Set([502, 503, 504]);

/**
 * Refuses while the circuit breaker of the application's port is open, and tells it how requests ended: by the status of the
 * answer, or by a failure to get one. A WebSocket handshake counts like any request. What the client gave up says nothing.
 */
export function breaker(breakers: Breakers, shadow: boolean): Filter {
  const refusals: Denial[] = [];
  const refuse = (seconds: number): Denial =>
    (refusals[seconds] ??= denial('circuit_open', 'breaker', 'the application failed too often', [
      'retry-after',
      String(seconds),
    ]));

  const settle = (exchange: Exchange, failed: boolean): void => {
    breakers.of(exchange.upstreamPort)?.settle(exchange.breakerPermit, failed, performance.now());
    exchange.breakerPermit = REFUSED;
  };

  return {
    name: 'breaker',
    shadow,
    onRequest: (exchange) => {
      const one = breakers.of(exchange.upstreamPort);
      if (one === null) return undefined;
      const now = performance.now();
      exchange.breakerPermit = one.admit(now);
      return exchange.breakerPermit === REFUSED ? refuse(Math.ceil(one.retryAfterMs(now) / 1_000)) : undefined;
    },
    onResponse: (exchange) => {
      if (exchange.breakerPermit === REFUSED) return;
      const { refusal, status } = exchange;
      if (refusal === '' || refusal.startsWith('upstream_')) settle(exchange, refusal !== '' || FAILING.has(status));
    },
    onFinish: (exchange) => {
      if (exchange.breakerPermit !== REFUSED) breakers.of(exchange.upstreamPort)?.cancel(exchange.breakerPermit);
    },
  };
}

import type { AccessDenial, AccessEvaluator } from '../../policy/evaluate/access-evaluator.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Denial, denial, type Filter } from '../pipeline/filter.ts';

const DENIALS: Readonly<Record<AccessDenial, Denial>> = {
  // RFC 6750 §3: without credentials the challenge carries no error code.
  unauthenticated: denial('token_missing', 'authorize', 'no credentials', ['www-authenticate', 'Bearer']),
  no_rule: denial('no_rule', 'authorize', 'no rule matches'),
  forbidden: denial('forbidden', 'authorize', 'no entry of allow holds'),
  condition_error: denial('condition_error', 'authorize', 'a condition failed to evaluate'),
  tenant_mismatch: denial('tenant_mismatch', 'authorize', "not clearly about the identity's tenant"),
  outside_schedule: denial('outside_schedule', 'authorize', 'the schedule is closed'),
};

/** Decides by the access policy; what no rule allows is refused. */
export function authorize(evaluator: AccessEvaluator, metrics: PolicyMetrics, shadow: boolean): Filter {
  /** A WebSocket may stay open longer than its hours, or than a condition about the time holds. */
  const watch = (exchange: Exchange): void => {
    const { rule, identity, method, query, headers, clientAddress, stillValid } = exchange;
    exchange.stillValid = (receivedAt) =>
      stillValid?.(receivedAt) !== false &&
      evaluator.authorize(rule, identity, { method, query, headers, clientAddress, receivedAt }) === 'Allow';
  };

  return {
    name: 'authorize',
    shadow,
    onRequest: (exchange) => {
      const verdict = evaluator.authorize(exchange.rule, exchange.identity, exchange);
      if (verdict === 'Allow') {
        if (exchange.upgrade && !shadow) watch(exchange);
        return undefined;
      }
      if (verdict !== 'unauthenticated') metrics.notAuthorized(exchange.rule?.name ?? 'none', exchange.method);
      return DENIALS[verdict];
    },
  };
}

import type { AccessEvaluator } from '../../policy/evaluate/access-evaluator.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import { denial, type Filter } from '../pipeline/filter.ts';

/** RFC 6750 §3: without credentials the challenge carries no error code. */
const UNAUTHENTICATED = denial('token_missing', 'authorize', 'no credentials', ['www-authenticate', 'Bearer']);
const NO_RULE = denial('no_rule', 'authorize', 'no rule matches');
const FORBIDDEN = denial('forbidden', 'authorize', 'no entry of allow holds');
const CONDITION_ERROR = denial('condition_error', 'authorize', 'a condition failed to evaluate');

/** Decides by the access policy; what no rule allows is refused. */
export function authorize(evaluator: AccessEvaluator, metrics: PolicyMetrics, shadow: boolean): Filter {
  return {
    name: 'authorize',
    shadow,
    onRequest: (exchange) => {
      const verdict = evaluator.authorize(exchange.rule, exchange.identity, exchange);
      if (verdict === 'Allow') return undefined;
      if (verdict === 'unauthenticated') return UNAUTHENTICATED;
      metrics.notAuthorized(exchange.rule?.name ?? 'none', exchange.method);
      if (verdict === 'no_rule') return NO_RULE;
      return verdict === 'forbidden' ? FORBIDDEN : CONDITION_ERROR;
    },
  };
}

import type { AccessEvaluator } from '../../policy/evaluate/access-evaluator.ts';
import type { Filter } from '../pipeline/filter.ts';

/** Finds the rule that the request falls under, for all layers after it. */
export function route(evaluator: AccessEvaluator): Filter {
  return {
    name: 'route',
    onRequest: (exchange) => {
      exchange.rule = evaluator.findRule(exchange.host, exchange.path, exchange.method);
      return undefined;
    },
  };
}

import type { Tier } from '../bundle/types.ts';
import type { Identity, RequestFacts } from './access-evaluator.ts';
import { compileCel } from './cel.ts';
import { ConditionContext } from './condition-context.ts';
import { valueOrThrow } from './parse-result.ts';

/** The tier of a request: a tier of the policy, or the built-in `anonymous` or `authenticated`. Never throws. */
export type TierOf = (identity: Identity | null, facts: RequestFacts) => string;

/**
 * Compiles the tiers of a policy. Without an identity the tier is `anonymous`; else the first one that holds, by its `when`
 * or, without one, by its name being the token's tier claim; else `authenticated`. A condition that fails with an error
 * does not hold.
 * @throws PortcullisError `bundle_invalid`
 */
export function compileTiers(tiers: readonly Tier[]): TierOf {
  let byClaimsAlone = true;
  const compiled = tiers.map(({ name, when }) => {
    if (when === undefined) return { name, expression: null };
    const expression = valueOrThrow(compileCel(when, 'tier'), `tier "${name}": when`);
    for (const variable of expression.references.variables) byClaimsAlone &&= variable === 'claims';
    return { name, expression };
  });
  const choose: TierOf = (identity, facts) => {
    if (identity === null) return 'anonymous';
    let context: ConditionContext | null = null;
    for (const { name, expression } of compiled) {
      if (expression === null) {
        if (name === identity.tierClaim) return name;
        continue;
      }
      context ??= new ConditionContext(facts, identity.claims, null);
      try {
        if (expression.evaluate(context)) return name;
      } catch {
        // Most often a claim that only the tokens of this tier carry.
      }
    }
    return 'authenticated';
  };
  if (!byClaimsAlone) return choose;
  // The same token is in the same tier for every request, and a missing claim costs microseconds.
  const known = new WeakMap<Identity, string>();
  return (identity, facts) => {
    if (identity === null) return 'anonymous';
    let tier = known.get(identity);
    if (tier === undefined) {
      tier = choose(identity, facts);
      known.set(identity, tier);
    }
    return tier;
  };
}

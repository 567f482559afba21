import type { AccessRule, AllowEntry } from '../bundle/types.ts';
import type { AccessDenial, Identity, RequestFacts, RuleMatch } from './access-evaluator.ts';
import { compileCel } from './cel.ts';
import { ConditionContext } from './condition-context.ts';
import { valueOrThrow } from './parse-result.ts';
import { bitsOf, holdsAll, holdsAny, type NameSpace } from './permission-set.ts';
import { compileSchedule } from './schedule.ts';
import { isOwnTenant } from './tenant.ts';

/** What one rule decides. */
export interface RuleDecision {
  /** Whether some entry is open to requests without an identity. */
  readonly anonymous: boolean;
  authorize(match: RuleMatch, identity: Identity | null, facts: RequestFacts): 'Allow' | AccessDenial;
}

type Condition = (match: RuleMatch, identity: Identity | null, facts: RequestFacts) => boolean;
type Authorize = RuleDecision['authorize'];

interface Entry {
  /** Whether it is open to requests without an identity. */
  readonly anonymous: boolean;
  /** Roles and permissions; null when the entry asks for neither. */
  readonly grants: ((identity: Identity) => boolean) | null;
  /** Throws when the expression fails. */
  readonly when: Condition | null;
}

/** One decision a rule, by the rule's index. @throws PortcullisError `bundle_invalid` */
export function compileDecisions(rules: readonly AccessRule[], names: NameSpace): readonly RuleDecision[] {
  return rules.map((rule) => {
    const entries = rule.allow.map((entry) => compileEntry(entry, rule, names));
    // The order of entries changes no answer; those without an expression cost next to nothing.
    entries.sort((a, b) => Number(a.when !== null) - Number(b.when !== null));
    const byEntries: Authorize = (match, identity, facts) => decide(entries, match, identity, facts);
    return { anonymous: entries.some((entry) => entry.anonymous), authorize: withTenantAndSchedule(byEntries, rule) };
  });
}

/** What is said of all entries: first whose it is, then when. */
function withTenantAndSchedule(byEntries: Authorize, { name, tenant, schedule }: AccessRule): Authorize {
  if (tenant === undefined && schedule === undefined) return byEntries;
  const isOpen = schedule && valueOrThrow(compileSchedule(schedule), `rule "${name}": schedule`);
  return (match, identity, facts) => {
    const decision = byEntries(match, identity, facts);
    if (decision !== 'Allow') return decision;
    if (tenant !== undefined && !isOwnTenant(tenant, match, identity, facts)) return 'tenant_mismatch';
    return isOpen === undefined || isOpen(facts.receivedAt) ? 'Allow' : 'outside_schedule';
  };
}

function decide(
  entries: readonly Entry[],
  match: RuleMatch,
  identity: Identity | null,
  facts: RequestFacts,
): 'Allow' | AccessDenial {
  let failed = false;
  for (const entry of entries) {
    if (identity === null ? !entry.anonymous : !(entry.grants?.(identity) ?? true)) continue;
    if (entry.when === null) return 'Allow';
    try {
      if (entry.when(match, identity, facts)) return 'Allow';
    } catch {
      failed = true;
    }
  }
  // Without an identity the remedy is to bring one, whatever else went wrong.
  if (identity === null) return 'unauthenticated';
  return failed ? 'condition_error' : 'forbidden';
}

function compileEntry(entry: AllowEntry, rule: AccessRule, names: NameSpace): Entry {
  const roles = entry.roles === undefined ? null : bitsOf(entry.roles, names.roleBits);
  const permissions = entry.permissions === undefined ? null : bitsOf(entry.permissions, names.permissionBits);
  const hasGrants = roles !== null || permissions !== null;
  return {
    anonymous: entry.anonymous === true && entry.authenticated !== true && !hasGrants,
    grants: hasGrants
      ? ({ permissions: held }) =>
          (roles === null || holdsAny(held.roles, roles)) &&
          (permissions === null || holdsAll(held.permissions, permissions))
      : null,
    when: entry.when === undefined ? null : compileCondition(entry.when, rule),
  };
}

function compileCondition(source: string, rule: AccessRule): Condition {
  const expression = valueOrThrow(compileCel(source, 'rule'), `rule "${rule.name}": when`);
  return (match, identity, facts) => expression.evaluate(new ConditionContext(facts, identity?.claims ?? null, match));
}

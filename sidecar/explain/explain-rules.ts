import type { AccessBundle, AccessRule, AllowEntry, TenantSource } from '../../policy/bundle/types.ts';
import {
  compileAccess,
  type Identity,
  type RequestFacts,
  type RuleMatch,
} from '../../policy/evaluate/access-evaluator.ts';
import { compileCel } from '../../policy/evaluate/cel.ts';
import { ConditionContext } from '../../policy/evaluate/condition-context.ts';
import { valueOrThrow } from '../../policy/evaluate/parse-result.ts';
import { tenantOf } from '../../policy/evaluate/tenant.ts';
import type { Exchange } from '../pipeline/exchange.ts';

/** Why no rule matches: a sentence for each rule whose paths do. */
export function whyNoRule(access: AccessBundle, { host, path, method }: Exchange): string[] {
  const sentences: string[] = [];
  for (const rule of access.rules) {
    const { hosts, methods, paths } = rule.match;
    const matches = (match: AccessRule['match']): boolean =>
      compileAccess({ ...access, rules: [{ ...rule, match, allow: [] }] }).findRule(host, path, method) !== null;
    if (!matches({ paths, hosts: [], methods: [] })) continue;
    const reasons: string[] = [];
    if (!matches({ paths, hosts: [], methods })) reasons.push(`for ${methods.join(', ')}`);
    if (!matches({ paths, hosts, methods: [] })) reasons.push(`at ${hosts.join(', ')}`);
    sentences.push(`rule "${rule.name}" covers this path, but only ${reasons.join(' and ')}`);
  }
  return sentences.length > 0 ? sentences : [`no rule covers the path ${path}`];
}

/**
 * A sentence for each entry of a rule's `allow`, whether it lets the request in and which of its conditions do not hold; then
 * one each for the rule's tenant and schedule.
 */
export function explainDecision(
  access: AccessBundle,
  match: RuleMatch,
  identity: Identity | null,
  facts: RequestFacts,
): string[] {
  const rule = access.rules[match.index] as AccessRule;
  const found = { name: match.name, index: 0, params: match.params };
  const { name, match: matched, tenant, schedule } = rule;
  const allows = (part: Omit<AccessRule, 'name' | 'match'>): boolean =>
    compileAccess({ ...access, rules: [{ name, match: matched, ...part }] }).authorize(found, identity, facts) ===
    'Allow';
  const holds = (entry: AllowEntry): boolean => allows({ allow: [entry] });

  const conditionsOf = ({ anonymous, authenticated, roles, permissions, when }: AllowEntry): string[] => {
    const open = anonymous === true && authenticated === undefined && roles === undefined && permissions === undefined;
    if (identity === null && !open) return ['needs an identity'];
    const failed: string[] = [];
    if (roles !== undefined && !holds({ roles })) {
      failed.push(`has none of the roles ${roles.join(', ')} (has: ${identity?.roles.join(', ') || 'none'})`);
    }
    const missing = permissions?.filter((permission) => !holds({ permissions: [permission] })) ?? [];
    if (missing.length > 0) failed.push(`lacks ${missing.join(', ')}`);
    if (when !== undefined && !holds({ ...(open && { anonymous }), when })) {
      failed.push(`when ${when}: ${whyNot(when, facts, identity, match)}`);
    }
    return failed;
  };

  const sentences = rule.allow.map((entry, index) => {
    const text = `allow[${index}] ${JSON.stringify(entry)}`;
    return holds(entry) ? `${text}: yes` : `${text}: no, ${conditionsOf(entry).join('; ')}`;
  });
  const anyone = [{ anonymous: true }] as const;
  if (tenant !== undefined) {
    const verdict = allows({ allow: anyone, tenant }) ? 'yes' : 'no';
    const own = identity === null ? 'there is no identity' : `the identity's is ${JSON.stringify(identity.tenant)}`;
    sentences.push(`tenant ${tenantText(tenant, match, facts)}, ${own}: ${verdict}`);
  }
  if (schedule !== undefined) {
    const verdict = allows({ allow: anyone, schedule }) ? 'open' : 'closed';
    sentences.push(
      `schedule ${JSON.stringify(schedule)} at ${localTime(facts.receivedAt, schedule.timezone)}: ${verdict}`,
    );
  }
  return sentences;
}

function tenantText(tenant: TenantSource, match: RuleMatch, facts: RequestFacts): string {
  const text = `${tenant.source}.${tenant.name}`;
  try {
    return `${text} = ${JSON.stringify(tenantOf(tenant, match, facts) ?? null)}`;
  } catch (error) {
    return `${text}: error: ${(error as Error).message}`;
  }
}

/** Such as `Fri 2026-11-20 16:05`. */
function localTime(now: number, timeZone: string): string {
  const date = new Date(now);
  const day = date.toLocaleString('en-US', { timeZone, weekday: 'short' });
  return `${day} ${date.toLocaleString('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'short' })}`;
}

function whyNot(when: string, facts: RequestFacts, identity: Identity | null, match: RuleMatch): string {
  try {
    valueOrThrow(compileCel(when, 'rule'), 'when').evaluate(
      new ConditionContext(facts, identity?.claims ?? null, match),
    );
    return 'false';
  } catch (error) {
    const [message] = (error as Error).message.split('\n'); // then a picture of the place
    return `error: ${message}`;
  }
}

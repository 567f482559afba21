import type { AccessPolicy } from '../api/access-policy.ts';
import type { Path } from '../api/problem.ts';
import type { AccessRule, AllowEntry, TenantSource } from '../bundle/types.ts';
import { parameterNames } from '../evaluate/path-pattern.ts';
import { compileSchedule, type ScheduleConfig } from '../evaluate/schedule.ts';
import { checkCondition } from './check-condition.ts';
import { type CheckedMatch, checkMatch } from './compile-match.ts';
import type { CompiledRoles } from './compile-roles.ts';
import { compileRuleBody, type FindSchema } from './compile-rule-body.ts';
import type { Findings } from './finding.ts';
import { reportOverlaps } from './rule-overlap.ts';
import { unknownWord } from './suggest.ts';

type Rule = AccessPolicy['spec']['rules'][number];
type Allow = Rule['allow'][number];

/** Checks the rules of a policy against its roles and one another, and writes them as the bundle wants them. */
export function compileRules(
  { rules, pathMatching }: AccessPolicy['spec'],
  roles: CompiledRoles,
  findings: Findings,
  find: FindSchema,
): readonly AccessRule[] {
  const matches = rules.map((rule, index) => checkRuleMatch(rule, index, pathMatching.trailingSlash, findings));
  reportOverlaps(
    rules.map((rule, index) => ({ name: rule.name, match: matches[index]! })),
    pathMatching,
    findings,
  );
  return rules.map((rule, index) => ({
    name: rule.name,
    match: rule.match,
    allow: rule.allow.map((entry, at) => {
      const path = ['spec', 'rules', index, 'allow', at];
      checkEntry(entry, path, roles, findings);
      if (entry.when !== undefined) checkWhen(entry.when, [...path, 'when'], matches[index]!, findings);
      return allowEntry(entry, roles);
    }),
    ...(rule.body && { body: compileRuleBody(rule.body, ['spec', 'rules', index, 'body'], findings, find) }),
    ...(rule.tenant && { tenant: compileTenant(rule, index, matches[index]!, findings) }),
    ...(rule.schedule && { schedule: checkedSchedule(rule.schedule, ['spec', 'rules', index, 'schedule'], findings) }),
  }));
}

function checkRuleMatch(
  rule: Rule,
  index: number,
  slash: 'Strict' | 'Ignore',
  findings: Findings,
): CheckedMatch | null {
  const path = ['spec', 'rules', index, 'match'];
  const match = checkMatch(rule.match, path, findings);
  for (const [at, pattern] of (match?.patterns ?? []).entries()) {
    if (pattern.trailingSlash && slash === 'Ignore') {
      const without = pattern.text.slice(0, -1);
      findings.error(
        [...path, 'paths', at],
        `paths are compared without a slash at the end (pathMatching.trailingSlash: Ignore); write ${without}`,
      );
    }
  }
  return match;
}

function checkEntry(entry: Allow, path: Path, roles: CompiledRoles, findings: Findings): void {
  for (const [at, role] of (entry.roles ?? []).entries()) {
    if (roles.heldBy.has(role)) continue;
    findings.error(
      [...path, 'roles', at],
      `unknown role ${unknownWord(role, [...roles.heldBy.keys()], 'roles in spec.roles')}`,
    );
  }
  for (const [at, permission] of (entry.permissions ?? []).entries()) {
    if (roles.permissions.includes(permission)) continue;
    const known = unknownWord(permission, roles.permissions, 'permissions in spec.roles');
    findings.error([...path, 'permissions', at], `unknown permission ${known}`);
  }
}

function checkWhen(source: string, path: Path, match: CheckedMatch | null, findings: Findings): void {
  const references = checkCondition(source, 'rule', path, findings);
  for (const name of references?.pathParameters ?? []) checkParameter(name, path, match, findings);
}

function checkParameter(name: string, path: Path, match: CheckedMatch | null, findings: Findings): void {
  const without = match?.patterns.find((pattern) => !parameterNames(pattern).includes(name));
  if (without === undefined) return;
  findings.error(
    path,
    `reads path.${name}, but ${without.text} has no {${name}}; name the parameter so, or split the rule`,
  );
}

function compileTenant(rule: Rule, index: number, match: CheckedMatch | null, findings: Findings): TenantSource {
  const path = ['spec', 'rules', index, 'tenant'];
  const anonymous = rule.allow.findIndex((entry) => entry.anonymous === true);
  if (anonymous >= 0) {
    findings.error(
      path,
      `allow[${anonymous}] lets in requests without an identity, and they have no tenant; leave tenant out, or split the rule`,
    );
  }
  const [source, name = ''] = rule.tenant!.from.split('.') as [TenantSource['source'], string];
  if (source === 'path') checkParameter(name, [...path, 'from'], match, findings);
  return { source, name: source === 'header' ? name.toLowerCase() : name };
}

function checkedSchedule(schedule: ScheduleConfig, path: Path, findings: Findings): ScheduleConfig {
  const check = (part: Partial<ScheduleConfig>, at: Path): void => {
    const result = compileSchedule({ timezone: 'UTC', open: [], closed: [], ...part });
    if (!result.ok) findings.error([...path, ...at], result.message);
  };
  check({ timezone: schedule.timezone }, ['timezone']);
  for (const [at, window] of schedule.open.entries()) check({ open: [window] }, ['open', at]);
  for (const [at, date] of schedule.closed.entries()) check({ closed: [date] }, ['closed', at]);
  return schedule;
}

function allowEntry(
  { anonymous, authenticated, roles, permissions, when }: Allow,
  compiled: CompiledRoles,
): AllowEntry {
  return {
    ...(anonymous === true ? { anonymous } : {}),
    ...(authenticated === true ? { authenticated } : {}),
    // A role counts as every role that it inherits.
    ...(roles === undefined
      ? {}
      : { roles: [...new Set(roles.flatMap((role) => compiled.heldBy.get(role) ?? [role]))] }),
    ...(permissions === undefined ? {} : { permissions }),
    ...(when === undefined ? {} : { when }),
  };
}

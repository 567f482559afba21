import { BUILT_IN_TIERS } from '../api/limits.ts';
import { parseTierRate, UNLIMITED } from '../api/rate.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import type { LimitConfig, LimitKey, Rate, Tier } from '../bundle/types.ts';
import { checkCondition } from './check-condition.ts';
import { checkMatch } from './compile-match.ts';
import type { Findings } from './finding.ts';
import { unknownWord } from './suggest.ts';

type Spec = RateLimitPolicy['spec'];
type Limit = Spec['limits'][number];

/** Compiles the tiers of a policy; warns of those that nobody is ever in. */
export function compileTierList({ tiers }: Spec, findings: Findings): readonly Tier[] {
  const earlier = new Map<string, string>();
  let everybody: string | null = null;
  for (const [index, { name, when }] of tiers.entries()) {
    const path = ['spec', 'tiers', index, 'when'];
    if (when !== undefined) checkCondition(when, 'tier', path, findings);
    const condition = when?.trim() ?? '';
    const same = earlier.get(condition);
    if (everybody !== null || (when !== undefined && same !== undefined)) {
      const taken = everybody ?? same;
      findings.warn(
        ['spec', 'tiers', index],
        `nobody is ever in tier "${name}": whoever fits is in "${taken}", which stands before it; move it up or correct its when`,
      );
    }
    if (when !== undefined && same === undefined) earlier.set(condition, name);
    if (condition === 'true') everybody ??= name;
  }
  return tiers;
}

/** Compiles one limit of a policy: a rate for each tier, built-in ones included. */
export function compileLimit(limit: Limit, index: number, spec: Spec, findings: Findings): LimitConfig {
  const path = ['spec', 'limits', index];
  const tiers = [...BUILT_IN_TIERS, ...spec.tiers.map((tier) => tier.name)];
  checkMatch(limit.match, [...path, 'match'], findings);
  for (const name of Object.keys(limit.rates ?? {})) {
    if (name === 'default' || tiers.includes(name)) continue;
    findings.error([...path, 'rates', name], `unknown tier ${unknownWord(name, tiers, 'tiers')}`);
  }
  const rates: [string, Rate | null][] = tiers.map((tier) => {
    const written = limit.rate ?? limit.rates?.[tier] ?? limit.rates?.['default'];
    if (written === undefined && limit.rates !== undefined) {
      findings.error(
        [...path, 'rates', tier],
        `tier "${tier}" has no rate; write ${tier}: 10/1m, ${tier}: Unlimited, or a default for the tiers not named`,
      );
    }
    return [tier, parseTierRate(written ?? '') ?? null];
  });
  if (limit.rates !== undefined && Object.values(limit.rates).every((rate) => rate === UNLIMITED)) {
    findings.warn([...path, 'rates'], 'limits nobody: every tier is Unlimited; write a rate or remove the limit');
  }
  checkCost(limit, path, findings);
  if (limit.lane === 'Reserved' && limit.key.every((part) => part === 'ip')) {
    findings.warn(
      [...path, 'key'],
      'counts all users behind one address together, and only authenticated requests use a Reserved lane; write key: [user]',
    );
  }
  const everywhere = limit.match.paths.indexOf('/**');
  if (limit.lane === 'Reserved' && everywhere >= 0) {
    findings.warn(
      [...path, 'match', 'paths', everywhere],
      'what matches a Reserved lane passes shedding and the limits by address until it is authenticated; write the few paths that must always work',
    );
  }
  return {
    name: limit.name,
    match: limit.match,
    key: limit.key as LimitKey[],
    algorithm: limit.algorithm,
    rates: Object.fromEntries(rates),
    burst: limit.burst ?? 0,
    ...(limit.cost > 1 && { cost: limit.cost }),
    ...(limit.lane === 'Reserved' && { lane: limit.lane }),
    onStoreFailure: limit.onStoreFailure,
  };
}

/** A window that holds less than one request costs admits none. */
function checkCost(limit: Limit, path: (string | number)[], findings: Findings): void {
  if (limit.algorithm === 'TokenBucket') return;
  const written = limit.rates ?? { rate: limit.rate ?? '' };
  for (const [tier, text] of Object.entries(written)) {
    const rate = parseTierRate(text);
    if (rate === null || rate === undefined || rate.limit >= limit.cost) continue;
    findings.error(
      limit.rates === undefined ? [...path, 'rate'] : [...path, 'rates', tier],
      `${text} is less than one request costs (${limit.cost}), so that none would ever be admitted; write at least ${limit.cost} or a smaller cost`,
    );
  }
}

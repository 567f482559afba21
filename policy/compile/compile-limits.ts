import { parseDuration } from '../api/duration.ts';
import { parseTierRate, UNLIMITED } from '../api/rate.ts';
import { BUILT_IN_TIERS, type RateLimitPolicy } from '../api/rate-limit-policy.ts';
import type { LimitConfig, LimitsBundle, Rate } from '../bundle/types.ts';
import { checkCondition } from './check-condition.ts';
import { compileConnection } from './compile-connection.ts';
import { checkMatch } from './compile-match.ts';
import { type Compiled, Findings } from './finding.ts';
import type { References } from './references.ts';
import { unknownWord } from './suggest.ts';

type Limit = RateLimitPolicy['spec']['limits'][number];

/** A limits bundle before it is given a serial. */
export type LimitsContent = Omit<LimitsBundle, 'serial'>;

/** Compiles a rate limit policy, as `compileAccessPolicy` does an access policy. */
export function compileLimits(policy: RateLimitPolicy, references: References): Compiled<LimitsContent> {
  const findings = new Findings();
  const { metadata, spec } = policy;
  for (const [index, { when }] of spec.tiers.entries()) {
    if (when !== undefined) checkCondition(when, 'tier', ['spec', 'tiers', index, 'when'], findings);
  }
  const tiers = [...BUILT_IN_TIERS, ...spec.tiers.map((tier) => tier.name)];
  const content: LimitsContent = {
    kind: 'Limits',
    namespace: metadata.namespace,
    name: metadata.name,
    mode: spec.mode,
    ...compileConnection(policy, references, findings),
    tiers: spec.tiers,
    limits: spec.limits.map((limit, index) => compileLimit(limit, index, tiers, findings)),
    timeouts: {
      connectMs: parseDuration(spec.timeouts.connect) ?? 0,
      requestMs: parseDuration(spec.timeouts.request) ?? 0,
      idleMs: parseDuration(spec.timeouts.idle) ?? 0,
    },
  };
  return { content: findings.failed ? null : content, findings: findings.all };
}

function compileLimit(limit: Limit, index: number, tiers: readonly string[], findings: Findings): LimitConfig {
  const path = ['spec', 'limits', index];
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
  return {
    name: limit.name,
    match: limit.match,
    key: limit.key,
    algorithm: limit.algorithm,
    rates: Object.fromEntries(rates),
    burst: limit.burst ?? 0,
    onStoreFailure: limit.onStoreFailure,
  };
}

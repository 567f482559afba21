import { parseDuration } from '../api/duration.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import type { LimitsBundle } from '../bundle/types.ts';
import { compileConnection } from './compile-connection.ts';
import { compileConnections } from './compile-connections.ts';
import { compileEgress } from './compile-egress.ts';
import { compileLimit, compileTierList } from './compile-limit.ts';
import { compileThreats } from './compile-threats.ts';
import { type Compiled, Findings } from './finding.ts';
import type { References } from './references.ts';

/** A limits bundle before it is given a serial. */
export type LimitsContent = Omit<LimitsBundle, 'serial'>;

/** Compiles a rate limit policy, as `compileAccessPolicy` does an access policy. */
export function compileLimits(policy: RateLimitPolicy, references: References): Compiled<LimitsContent> {
  const findings = new Findings();
  const { metadata, spec } = policy;
  const content: LimitsContent = {
    kind: 'Limits',
    namespace: metadata.namespace,
    name: metadata.name,
    mode: spec.mode,
    ...compileConnection(policy, references, findings),
    tiers: compileTierList(spec, findings),
    limits: spec.limits.map((limit, index) => compileLimit(limit, index, spec, findings)),
    timeouts: {
      connectMs: parseDuration(spec.timeouts.connect) ?? 0,
      requestMs: parseDuration(spec.timeouts.request) ?? 0,
      idleMs: parseDuration(spec.timeouts.idle) ?? 0,
    },
    ...compileConnections(spec, findings),
    ...compileEgress(policy, references, findings),
    ...compileThreats(spec, findings),
  };
  return { content: findings.failed ? null : content, findings: findings.all };
}

import type { AccessPolicy } from '../api/access-policy.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import type { ClientIpConfig } from '../bundle/types.ts';
import { type AccessContent, compileAccessPolicy } from './compile-access-policy.ts';
import { compileLimits, type LimitsContent } from './compile-limits.ts';
import { type Compiled, Findings } from './finding.ts';
import type { References } from './references.ts';

/** What one sidecar enforces, compiled. */
export interface CompiledPolicies {
  readonly access: Compiled<AccessContent>;
  /** Null when there is no rate limit policy. */
  readonly limits: Compiled<LimitsContent> | null;
}

/**
 * Compiles the policies of one sidecar together: what both may say, they must say alike. A store that only one of them
 * names holds for both.
 */
export function compilePolicies(
  accessPolicy: AccessPolicy,
  limitPolicy: RateLimitPolicy | null,
  references: References,
): CompiledPolicies {
  const access = compileAccessPolicy(accessPolicy, references);
  if (limitPolicy === null) return { access, limits: null };
  const limits = compileLimits(limitPolicy, references);
  if (access.content === null || limits.content === null) return { access, limits };
  const conflicts = new Findings();
  const { store, clientIp } = access.content;
  const other = `AccessPolicy ${access.content.namespace}/${access.content.name}`;
  if (store !== null && limits.content.store !== null && store.redisUrl !== limits.content.store.redisUrl) {
    conflicts.error(
      ['spec', 'store'],
      `is another store than that of ${other}; name the same Secret in both, or leave one out`,
      'Conflicted',
    );
  }
  if (says(clientIp) && says(limits.content.clientIp) && differ(clientIp, limits.content.clientIp)) {
    conflicts.error(
      ['spec', 'clientIP'],
      `differs from clientIP of ${other}; write the same in both, or leave one out`,
      'Conflicted',
    );
  }
  const findings = [...limits.findings, ...conflicts.all];
  if (conflicts.failed) return { access, limits: { content: null, findings } };
  const shared = store ?? limits.content.store;
  return {
    access: { ...access, content: { ...access.content, store: shared } },
    limits: { findings, content: { ...limits.content, store: shared } },
  };
}

function says(clientIp: ClientIpConfig): boolean {
  return clientIp.trustedHops > 0 || clientIp.trustedProxies.length > 0;
}

function differ(one: ClientIpConfig, other: ClientIpConfig): boolean {
  const text = ({ trustedHops, trustedProxies }: ClientIpConfig) =>
    JSON.stringify([trustedHops, trustedProxies.toSorted()]);
  return text(one) !== text(other);
}

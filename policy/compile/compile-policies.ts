import type { AccessPolicy } from '../api/access-policy.ts';
import type { RateLimitPolicy } from '../api/rate-limit-policy.ts';
import { clientIpsDiffer } from '../evaluate/connection.ts';
import { type AccessContent, compileAccessPolicy } from './compile-access-policy.ts';
import { compileIssuer, type IssuerContent } from './compile-issuer.ts';
import { compileLimits, type LimitsContent } from './compile-limits.ts';
import { type Compiled, Findings } from './finding.ts';
import type { References } from './references.ts';

/** What one sidecar enforces, compiled. */
export interface CompiledPolicies {
  readonly access: Compiled<AccessContent>;
  /** Null when there is no rate limit policy. */
  readonly limits: Compiled<LimitsContent> | null;
  /** Null where nobody logs in by the access policy, or it is not accepted. */
  readonly issuer: IssuerContent | null;
}

/** Compiles the policies of one sidecar together: what both may say, they must say alike. */
export function compilePolicies(
  accessPolicy: AccessPolicy,
  limitPolicy: RateLimitPolicy | null,
  references: References,
): CompiledPolicies {
  const access = compileAccessPolicy(accessPolicy, references);
  const issuer = access.content === null ? null : compileIssuer(accessPolicy, references);
  if (limitPolicy === null) return { access, limits: null, issuer };
  const limits = compileLimits(limitPolicy, references);
  if (access.content === null || limits.content === null) return { access, limits, issuer };
  const conflicts = new Findings();
  const { store, clientIp } = access.content;
  const theirs = limits.content;
  const other = `AccessPolicy ${access.content.namespace}/${access.content.name}`;
  if (store !== null && theirs.store !== null && JSON.stringify(store) !== JSON.stringify(theirs.store)) {
    conflicts.error(
      ['spec', 'store'],
      `is another store than that of ${other}; name the same Secret in both, or leave one out`,
      'Conflicted',
    );
  }
  if (clientIpsDiffer(clientIp, theirs.clientIp)) {
    conflicts.error(
      ['spec', 'clientIP'],
      `differs from clientIP of ${other}; write the same in both, or leave one out`,
      'Conflicted',
    );
  }
  const findings = [...limits.findings, ...conflicts.all];
  return { access, limits: { content: conflicts.failed ? null : theirs, findings }, issuer };
}

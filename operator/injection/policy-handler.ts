import { isDeepStrictEqual } from 'node:util';
import type { AccessPolicy } from '../../policy/api/access-policy.ts';
import { decodeResource } from '../../policy/api/decode.ts';
import type { Resource } from '../../policy/api/kinds.ts';
import { formatPath } from '../../policy/api/problem.ts';
import type { RateLimitPolicy } from '../../policy/api/rate-limit-policy.ts';
import { compileAccessPolicy } from '../../policy/compile/compile-access-policy.ts';
import { compileLimits } from '../../policy/compile/compile-limits.ts';
import { type Finding, mergeFindings } from '../../policy/compile/finding.ts';
import type { References } from '../../policy/compile/references.ts';
import type { AdmissionAnswer, AdmissionHandler } from './review.ts';

/** What resources are reviewed with. */
export interface PolicyHandlerOptions {
  /** All that the policy may refer to, as it is now. */
  readonly references: (policy: AccessPolicy | RateLimitPolicy) => References;
}

const MAX_LINES = 50;

/**
 * /validate: refuses a SigningKeySet, AccessPolicy or RateLimitPolicy that cannot be used as it is written, with everything that is
 * wrong, one finding a line. What it refers to may be applied later: that is a warning. An update that leaves the spec as it is
 * is let through, so that finalizers can always be removed.
 */
export function policyHandler({ references }: PolicyHandlerOptions): AdmissionHandler {
  return ({ object, oldObject }): AdmissionAnswer => {
    if (object === null || isLeftAlone(object, oldObject)) return { allowed: true };
    const findings = findingsOf(object, references);
    const isFatal = ({ severity, code }: Finding): boolean =>
      severity === 'error' && code !== 'RefNotFound' && code !== 'RefNotPermitted';
    const [fatal, others] = [findings.filter(isFatal), findings.filter((finding) => !isFatal(finding))];
    const warnings = others.map(describe);
    if (fatal.length === 0) return { allowed: true, warnings };
    const lines = fatal.slice(0, MAX_LINES).map(describe);
    if (fatal.length > MAX_LINES) lines.push(`and ${fatal.length - MAX_LINES} more`);
    return { allowed: false, message: lines.length === 1 ? lines[0]! : `\n${lines.join('\n')}`, warnings };
  };
}

function findingsOf(object: unknown, references: PolicyHandlerOptions['references']): readonly Finding[] {
  const decoded = decodeResource(object);
  const problems = 'problems' in decoded ? decoded.problems : [];
  const resource = 'problems' in decoded ? decoded.faulty : decoded.resource;
  return mergeFindings(problems, resource === undefined ? [] : compiled(resource, references));
}

function compiled(resource: Resource, references: PolicyHandlerOptions['references']): readonly Finding[] {
  if (resource.kind === 'SigningKeySet') return [];
  const given = references(resource);
  // Whether there is a key yet is not the writer's business; that the key set is there is.
  const keySets = given.keySets.map((keySet) => ({ ...keySet, outputs: { serial: 1, verificationKeys: [] } }));
  const checking = { ...given, keySets };
  return resource.kind === 'AccessPolicy'
    ? compileAccessPolicy(resource, checking).findings
    : compileLimits(resource, checking).findings;
}

function isLeftAlone(object: unknown, oldObject: unknown): boolean {
  const now = object as Partial<Resource> & { metadata?: { deletionTimestamp?: string } };
  if (now.metadata?.deletionTimestamp !== undefined) return true;
  return oldObject !== null && isDeepStrictEqual(now.spec, (oldObject as Partial<Resource>).spec);
}

function describe({ path, message }: Finding): string {
  const field = formatPath(path);
  return field === '' ? message : `${field}: ${message}`;
}

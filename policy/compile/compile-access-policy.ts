import type { AccessPolicy } from '../api/access-policy.ts';
import type { AccessBundle } from '../bundle/types.ts';
import { checkTokenRules } from './check-token-rules.ts';
import { compileAuthentication } from './compile-authentication.ts';
import { compileConnection } from './compile-connection.ts';
import { compileCredentials } from './compile-credentials.ts';
import { compileCors, compileSecurityHeaders } from './compile-response-headers.ts';
import { compileRoles } from './compile-roles.ts';
import { compileRules } from './compile-rules.ts';
import { compileTokens } from './compile-tokens.ts';
import { findSchema } from './find-schema.ts';
import { type Compiled, Findings } from './finding.ts';
import type { References } from './references.ts';

/** An access bundle before it is given a serial. */
export type AccessContent = Omit<AccessBundle, 'serial'>;

/**
 * Compiles an access policy that was decoded, or one with problems that has the shape of its type; reports everything wrong
 * at once. Some rules of decoding are checked again, to name the offender; `mergeFindings` keeps one report of the two.
 * Pure; paths begin at the resource.
 */
export function compileAccessPolicy(policy: AccessPolicy, references: References): Compiled<AccessContent> {
  const findings = new Findings();
  const { metadata, spec } = policy;
  const roles = compileRoles(spec.roles, findings);
  const tokens = compileTokens(policy, references, findings);
  const content: AccessContent = {
    kind: 'Access',
    namespace: metadata.namespace,
    name: metadata.name,
    mode: spec.mode,
    ...compileConnection(policy, references, findings),
    jwt: compileAuthentication(policy, references, findings),
    ...compileCredentials(policy, references, findings),
    ...(tokens && { tokens }),
    identity: spec.identity,
    roles: roles.grants,
    rules: compileRules(spec, roles, findings, (ref, path) =>
      findSchema(ref, path, metadata.namespace, references, findings),
    ),
    pathMatching: spec.pathMatching,
    cors: compileCors(spec.cors),
    securityHeaders: compileSecurityHeaders(spec.securityHeaders, findings),
    forward: spec.forward,
  };
  if (!findings.failed) checkTokenRules(content, findings);
  return { content: findings.failed ? null : content, findings: findings.all };
}

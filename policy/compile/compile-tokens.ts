import type { AccessPolicy } from '../api/access-policy.ts';
import { parseDuration } from '../api/duration.ts';
import type { TokensConfig } from '../bundle/types.ts';
import { normalizePath } from '../evaluate/normalize-path.ts';
import { jwksPathMatcher } from '../jwks/jwks-path.ts';
import { publicJwkSet } from '../jwks/public-jwk-set.ts';
import { findKeySet } from './compile-authentication.ts';
import { compileTokenEndpoints } from './compile-token-endpoints.ts';
import type { Findings } from './finding.ts';
import type { References } from './references.ts';

/** Resolves the key set of the tokens that pods issue; undefined: they issue none, or it cannot be used. */
export function compileTokens(
  policy: AccessPolicy,
  references: References,
  findings: Findings,
): TokensConfig | undefined {
  const { metadata, spec } = policy;
  const { tokens } = spec;
  if (tokens === undefined) return undefined;
  warnOfRules(tokens.jwksPath, spec, findings);
  const found = findKeySet(tokens.keySetRef, ['spec', 'tokens', 'keySetRef'], metadata.namespace, references, findings);
  if (found === null) return undefined;
  const { resource, serial, keys } = found;
  const endpoints = compileTokenEndpoints(policy, found, references, findings);
  return {
    keySet: `${resource.metadata.namespace}/${resource.metadata.name}`,
    keySetSerial: serial,
    jwksPath: tokens.jwksPath,
    jwksMaxAgeMs: parseDuration(resource.spec.jwksMaxAge) ?? 0,
    jwks: publicJwkSet(keys),
    ...(endpoints && { endpoints }),
  };
}

/** The JWKS wins over rules: one that names its very path would seem to decide what it never sees. */
function warnOfRules(jwksPath: string, { rules, pathMatching }: AccessPolicy['spec'], findings: Findings): void {
  // A path that is none is decoding's to report.
  if (!/^[\w.~/-]+$/.test(jwksPath) || normalizePath(jwksPath, pathMatching) !== jwksPath) return;
  const isJwksPath = jwksPathMatcher(jwksPath, pathMatching);
  for (const [index, { match }] of rules.entries()) {
    if (match.methods.length > 0 && !match.methods.some((method) => method === 'GET' || method === 'HEAD')) continue;
    for (const [at, path] of match.paths.entries()) {
      const normal = normalizePath(path, pathMatching);
      if (typeof normal !== 'string' || !isJwksPath(normal)) continue;
      findings.warn(
        ['spec', 'rules', index, 'match', 'paths', at],
        'is tokens.jwksPath: pods that issue tokens answer GET there themselves, whatever the rule allows; remove it here, or write another jwksPath',
      );
    }
  }
}

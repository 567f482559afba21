import type { AccessPolicy } from '../api/access-policy.ts';
import { parseDuration } from '../api/duration.ts';
import type { AccessBundle } from '../bundle/types.ts';
import { checkCredentialPlaces } from './check-credential-places.ts';
import { compileApiKeys } from './compile-api-keys.ts';
import { compileSignedRequests } from './compile-signed-requests.ts';
import type { Findings } from './finding.ts';
import type { References } from './references.ts';

/** What a policy says of authentication besides issuers of tokens; members that it does not use are absent. */
export function compileCredentials(
  policy: AccessPolicy,
  references: References,
  findings: Findings,
): Pick<AccessBundle, 'apiKeys' | 'signedRequests' | 'revocation'> {
  const { revocation } = policy.spec.authentication;
  checkCredentialPlaces(policy.spec, findings);
  const apiKeys = compileApiKeys(policy, references, findings);
  const signedRequests = compileSignedRequests(policy, references, findings);
  warnOfMemory(policy.spec, references, findings);
  return {
    ...(apiKeys.length > 0 && { apiKeys }),
    ...(signedRequests.length > 0 && { signedRequests }),
    ...(revocation && {
      revocation: {
        onStoreFailure: revocation.onStoreFailure,
        maxStalenessMs: parseDuration(revocation.maxStaleness) ?? 0,
      },
    }),
  };
}

/** Without a store each pod remembers for itself what must hold for all. */
function warnOfMemory(
  { authentication, store }: AccessPolicy['spec'],
  references: References,
  findings: Findings,
): void {
  if (store !== undefined || references.defaultStore !== null || references.storeOverride !== null) return;
  const remedy = 'name a Redis under spec.store, here or in the RateLimitPolicy of the same pods';
  if (authentication.signedRequests.length > 0) {
    findings.warn(
      ['spec', 'authentication', 'signedRequests'],
      `each pod remembers nonces for itself, so that a request can be repeated to another pod; ${remedy}`,
    );
  }
  if (authentication.revocation !== undefined) {
    findings.warn(
      ['spec', 'authentication', 'revocation'],
      `each pod knows only what was revoked in it, until it restarts; ${remedy}`,
    );
  }
}

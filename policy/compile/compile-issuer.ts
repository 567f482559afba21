import type { AccessPolicy } from '../api/access-policy.ts';
import type { IssuerBundle } from '../bundle/tokens.ts';
import { findKeySet } from './compile-authentication.ts';
import { readUsers } from './compile-token-endpoints.ts';
import { Findings } from './finding.ts';
import type { References } from './references.ts';

/** An issuer bundle before it is given a serial. */
export type IssuerContent = Omit<IssuerBundle, 'serial'>;

/**
 * What pods that issue tokens sign by; null: nobody logs in by this policy. Only of a policy that `compileAccessPolicy` accepts, which
 * reports whatever is wrong.
 */
export function compileIssuer({ metadata, spec }: AccessPolicy, references: References): IssuerContent | null {
  const { tokens } = spec;
  if (tokens?.login === undefined) return null;
  const { namespace, name } = metadata;
  const reported = new Findings();
  const found = findKeySet({ name: tokens.keySetRef.name }, [], namespace, references, reported);
  const { htpasswdSecretRef } = tokens.login.credentials;
  const users = htpasswdSecretRef ? readUsers(htpasswdSecretRef.name, namespace, references, reported) : null;
  if (found === null || reported.failed) return null;
  const { issuing } = found;
  return {
    kind: 'Issuer',
    namespace,
    name,
    keySet: `${namespace}/${tokens.keySetRef.name}`,
    keySetSerial: found.serial,
    // One that is revoked is not among the keys any more.
    signingKey: issuing !== null && found.keys.some(({ kid }) => kid === issuing.kid) ? issuing : null,
    users,
  };
}

import type { AccessPolicy } from '../api/access-policy.ts';
import { schemeOf } from '../api/authentication.ts';
import { parseDuration } from '../api/duration.ts';
import type { CredentialSource, JwtAuthenticator } from '../bundle/types.ts';
import type { Findings } from './finding.ts';
import type { References, ResolvedKeySet } from './references.ts';
import { thereAre } from './suggest.ts';

type Jwt = AccessPolicy['spec']['authentication']['jwt'][number];

/** Resolves the key set of each issuer of tokens; issuer, audiences, skew and longest lifetime are the set's. */
export function compileAuthentication(
  { metadata, spec }: AccessPolicy,
  references: References,
  findings: Findings,
): readonly JwtAuthenticator[] {
  return spec.authentication.jwt.flatMap((jwt, index) => {
    const found = findKeySet(jwt, index, metadata.namespace, references.keySets, findings);
    return found === null ? [] : [authenticator(jwt, found)];
  });
}

function findKeySet(
  { keySetRef }: Jwt,
  index: number,
  ownNamespace: string,
  keySets: readonly ResolvedKeySet[],
  findings: Findings,
): (ResolvedKeySet & { outputs: object }) | null {
  const path = ['spec', 'authentication', 'jwt', index, 'keySetRef'];
  const { name, namespace = ownNamespace } = keySetRef;
  if (namespace !== ownNamespace) {
    findings.error(
      [...path, 'namespace'],
      `key set ${namespace}/${name} cannot be used from namespace ${ownNamespace}: a key set is for policies of its own namespace; leave namespace out and keep a SigningKeySet here`,
      'RefNotPermitted',
    );
    return null;
  }
  const found = keySets.find(
    ({ resource: { metadata } }) => metadata.namespace === namespace && metadata.name === name,
  );
  if (found === undefined) {
    const known = keySets.map(({ resource: { metadata } }) => `${metadata.namespace}/${metadata.name}`);
    const choice = known.length === 0 ? 'there are none; add a SigningKeySet' : thereAre(known);
    findings.error([...path, 'name'], `key set ${namespace}/${name} does not exist; ${choice}`, 'RefNotFound');
    return null;
  }
  if (found.outputs === null) {
    findings.error([...path, 'name'], `key set ${namespace}/${name} has no key yet`, 'RefNotFound');
    return null;
  }
  return { ...found, outputs: found.outputs };
}

function authenticator(jwt: Jwt, { resource, outputs }: ResolvedKeySet & { outputs: object }): JwtAuthenticator {
  const { metadata, spec } = resource;
  return {
    name: jwt.name,
    keySet: `${metadata.namespace}/${metadata.name}`,
    keySetSerial: outputs.serial,
    issuer: spec.issuer,
    audiences: spec.audiences,
    clockSkewMs: parseDuration(spec.clockSkew) ?? 0,
    maxTokenLifetimeMs: parseDuration(spec.maxTokenLifetime) ?? 0,
    requiredClaims: jwt.requiredClaims,
    from: jwt.from.map(credentialSource),
    keys: outputs.verificationKeys,
  };
}

function credentialSource(source: Jwt['from'][number]): CredentialSource {
  if (source.cookie !== undefined) return { kind: 'cookie', cookie: source.cookie };
  return { kind: 'header', header: (source.header ?? '').toLowerCase(), scheme: schemeOf(source) };
}

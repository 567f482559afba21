import type { AccessPolicy } from '../api/access-policy.ts';
import { schemeOf } from '../api/authentication.ts';
import { parseDuration } from '../api/duration.ts';
import type { Path } from '../api/problem.ts';
import type { SigningKeySet } from '../api/signing-key-set.ts';
import type { CredentialSource, JwtAuthenticator, VerificationKey } from '../bundle/types.ts';
import { selects } from '../evaluate/label-selector.ts';
import { isSymmetric } from '../keys/algorithms.ts';
import type { Findings } from './finding.ts';
import type { References } from './references.ts';
import { thereAre } from './suggest.ts';

type Jwt = AccessPolicy['spec']['authentication']['jwt'][number];

/** Resolves the key set of each issuer of tokens; issuer, audiences, skew and longest lifetime are the set's. */
export function compileAuthentication(
  { metadata, spec }: AccessPolicy,
  references: References,
  findings: Findings,
): readonly JwtAuthenticator[] {
  return spec.authentication.jwt.flatMap((jwt, index) => {
    const path = ['spec', 'authentication', 'jwt', index, 'keySetRef'];
    const found = findKeySet(jwt.keySetRef, path, metadata.namespace, references, findings);
    return found === null ? [] : [authenticator(jwt, found)];
  });
}

/** A key set that the policy may use, with the keys of it that it may have. */
export interface UsableKeySet {
  readonly resource: SigningKeySet;
  readonly serial: number;
  readonly keys: readonly VerificationKey[];
}

/** The key set that a policy of `ownNamespace` names, for signing tokens or verifying them; null: reported at `path`. */
export function findKeySet(
  keySetRef: Jwt['keySetRef'],
  path: Path,
  ownNamespace: string,
  references: References,
  findings: Findings,
): UsableKeySet | null {
  const { name, namespace = ownNamespace } = keySetRef;
  const labels = references.namespaces.find((known) => known.name === ownNamespace)?.labels;
  const usable = references.keySets.filter(({ resource }) => mayUse(resource, ownNamespace, labels));
  const found = usable.find(({ resource: { metadata } }) => metadata.namespace === namespace && metadata.name === name);
  if (found === undefined) {
    const names = usable.map(({ resource: { metadata } }) => `${metadata.namespace}/${metadata.name}`);
    if (namespace === ownNamespace) {
      const choice = names.length === 0 ? 'there are none; add a SigningKeySet' : thereAre(names);
      findings.error([...path, 'name'], `key set ${namespace}/${name} does not exist; ${choice}`, 'RefNotFound');
    } else {
      // One answer for both: who may not use a key set need not learn that it exists.
      findings.error(
        [...path, 'namespace'],
        `key set ${namespace}/${name} does not exist, or may not be used from namespace ${ownNamespace}; in its spec its owner writes usableFrom: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ${ownNamespace}}}} (not with an HS algorithm)`,
        'RefNotPermitted',
      );
    }
    return null;
  }
  if (found.resource.spec.algorithm === 'Fernet') {
    findings.error(
      [...path, 'name'],
      `key set ${namespace}/${name} is for Fernet: its keys encrypt and sign no tokens; name another`,
    );
    return null;
  }
  const all = found.outputs?.verificationKeys ?? [];
  // A key set that was symmetric once may hold secrets until they retire.
  const keys = namespace === ownNamespace ? all : all.filter(({ algorithm }) => !isSymmetric(algorithm));
  if (found.outputs === null || (all.length > 0 && keys.length === 0)) {
    findings.error([...path, 'name'], `key set ${namespace}/${name} has no key yet`, 'RefNotFound');
    return null;
  }
  return { resource: found.resource, serial: found.outputs.serial, keys };
}

/** Whether policies of a namespace with these labels may use a key set: their own namespace's, or what its owner shares. */
export function mayUse(
  { metadata, spec }: SigningKeySet,
  ownNamespace: string,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  if (metadata.namespace === ownNamespace) return true;
  if (spec.usableFrom === undefined || isSymmetric(spec.algorithm) || labels === undefined) return false;
  return selects(spec.usableFrom.namespaceSelector, labels);
}

function authenticator(jwt: Jwt, { resource, serial, keys }: UsableKeySet): JwtAuthenticator {
  const { metadata, spec } = resource;
  return {
    name: jwt.name,
    keySet: `${metadata.namespace}/${metadata.name}`,
    keySetSerial: serial,
    issuer: spec.issuer ?? '',
    audiences: spec.audiences ?? [],
    clockSkewMs: parseDuration(spec.clockSkew) ?? 0,
    maxTokenLifetimeMs: parseDuration(spec.maxTokenLifetime ?? '0s') ?? 0,
    requiredClaims: jwt.requiredClaims,
    from: jwt.from.map(credentialSource),
    keys,
  };
}

function credentialSource(source: Jwt['from'][number]): CredentialSource {
  if (source.cookie !== undefined) return { kind: 'cookie', cookie: source.cookie };
  return { kind: 'header', header: (source.header ?? '').toLowerCase(), scheme: schemeOf(source) };
}

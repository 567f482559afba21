import type { AccessPolicy } from '../api/access-policy.ts';
import { schemeOf } from '../api/authentication.ts';
import { parseDuration } from '../api/duration.ts';
import type { Path } from '../api/problem.ts';
import type { SigningKeySet } from '../api/signing-key-set.ts';
import type { CredentialSource, JwksConfig, JwtAuthenticator, VerificationKey } from '../bundle/types.ts';
import { selects } from '../evaluate/label-selector.ts';
import { isSymmetric } from '../keys/algorithms.ts';
import type { IssuingKey } from '../keys/outputs.ts';
import { findCertificates } from './find-certificates.ts';
import type { Findings } from './finding.ts';
import type { References } from './references.ts';
import { thereAre } from './suggest.ts';

type Jwt = AccessPolicy['spec']['authentication']['jwt'][number];

const LONGEST_LIFETIME = '24h';
const CLOCK_SKEW = '60s';

/** Resolves the key set of each issuer of tokens, of which issuer, audiences, skew and longest lifetime are; or the CA of its JWKS. */
export function compileAuthentication(
  { metadata, spec }: AccessPolicy,
  references: References,
  findings: Findings,
): readonly JwtAuthenticator[] {
  return spec.authentication.jwt.flatMap((jwt, index) => {
    const path = ['spec', 'authentication', 'jwt', index];
    if (jwt.jwks !== undefined) {
      const jwks = compileJwks(jwt.jwks, [...path, 'jwks'], metadata.namespace, references, findings);
      return jwks === null ? [] : [externalAuthenticator(jwt, jwks)];
    }
    // Neither is decoding's to report.
    if (jwt.keySetRef === undefined) return [];
    const found = findKeySet(jwt.keySetRef, [...path, 'keySetRef'], metadata.namespace, references, findings);
    if (found === null) return [];
    checkSkew(jwt, found, [...path, 'clockSkew'], findings);
    return [authenticator(jwt, found)];
  });
}

/** A key set that the policy may use, with the keys of it that it may have. */
export interface UsableKeySet {
  readonly resource: SigningKeySet;
  readonly serial: number;
  readonly keys: readonly VerificationKey[];
  /** The key that signs now, revoked or not; null: none. For the issuer bundle alone. */
  readonly issuing: IssuingKey | null;
}

/** The key set that a policy of `ownNamespace` names, for signing tokens or verifying them; null: reported at `path`. */
export function findKeySet(
  keySetRef: NonNullable<Jwt['keySetRef']>,
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
  const { serial, issuing = null } = found.outputs;
  return { resource: found.resource, serial, keys: unrevoked(found.resource, keys), issuing };
}

/** The keys without those that the resource revokes: they count no more, also while the keyring is lost or stands still. */
export function unrevoked(
  { spec: { revocations } }: SigningKeySet,
  keys: readonly VerificationKey[],
): readonly VerificationKey[] {
  const isKept = ({ kid }: VerificationKey) => !revocations.some((revocation) => revocation.kid === kid);
  return keys.every(isKept) ? keys : keys.filter(isKept);
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

/** S is what the planner keeps retired keys for: who allows more would refuse tokens of a key that left too soon. */
function checkSkew({ clockSkew }: Jwt, { resource: { metadata, spec } }: UsableKeySet, path: Path, findings: Findings) {
  if (clockSkew === undefined || (parseDuration(clockSkew) ?? 0) <= (parseDuration(spec.clockSkew) ?? 0)) return;
  findings.error(
    path,
    `must be at most clockSkew of key set ${metadata.namespace}/${metadata.name}, which is ${spec.clockSkew}; write less, or leave it out`,
  );
}

function authenticator(jwt: Jwt, { resource, serial, keys }: UsableKeySet): JwtAuthenticator {
  const { metadata, spec } = resource;
  return {
    name: jwt.name,
    keySet: `${metadata.namespace}/${metadata.name}`,
    keySetSerial: serial,
    issuer: spec.issuer ?? '',
    audiences: spec.audiences ?? [],
    clockSkewMs: parseDuration(jwt.clockSkew ?? spec.clockSkew) ?? 0,
    maxTokenLifetimeMs: parseDuration(spec.maxTokenLifetime ?? '0s') ?? 0,
    requiredClaims: jwt.requiredClaims,
    from: jwt.from.map(credentialSource),
    keys,
  };
}

function externalAuthenticator(jwt: Jwt, jwks: JwksConfig): JwtAuthenticator {
  return {
    name: jwt.name,
    keySet: null,
    keySetSerial: 0,
    jwks,
    issuer: jwt.issuer ?? '',
    audiences: jwt.audiences ?? [],
    clockSkewMs: parseDuration(jwt.clockSkew ?? CLOCK_SKEW) ?? 0,
    maxTokenLifetimeMs: parseDuration(jwt.maxTokenLifetime ?? LONGEST_LIFETIME) ?? 0,
    requiredClaims: jwt.requiredClaims,
    from: jwt.from.map(credentialSource),
    keys: [],
  };
}

/** What a sidecar fetches an issuer's keys by; null: its CA cannot be had, reported below `path`. */
function compileJwks(
  jwks: NonNullable<Jwt['jwks']>,
  path: Path,
  namespace: string,
  references: References,
  findings: Findings,
): JwksConfig | null {
  const { uri, caSecretRef, algorithms, refresh, onFailure, allowPrivateAddresses } = jwks;
  const ca =
    caSecretRef === undefined
      ? null
      : findCertificates(caSecretRef, [...path, 'caSecretRef'], namespace, references, findings);
  if (ca === null && caSecretRef !== undefined) return null;
  return { uri, ca, algorithms, refreshMs: parseDuration(refresh) ?? 0, onFailure, allowPrivateAddresses };
}

function credentialSource(source: Jwt['from'][number]): CredentialSource {
  if (source.query !== undefined) return { kind: 'query', parameter: source.query };
  if (source.cookie !== undefined) return { kind: 'cookie', cookie: source.cookie };
  return { kind: 'header', header: (source.header ?? '').toLowerCase(), scheme: schemeOf(source) };
}

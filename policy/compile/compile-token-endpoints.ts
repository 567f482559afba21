import type { AccessPolicy } from '../api/access-policy.ts';
import { parseDuration } from '../api/duration.ts';
import type { Path } from '../api/problem.ts';
import { endpointPaths } from '../api/token-endpoints.ts';
import type { HtpasswdUsers, TokenEndpoints } from '../bundle/tokens.ts';
import { parseHtpasswd } from '../passwords/htpasswd.ts';
import type { UsableKeySet } from './compile-authentication.ts';
import type { Findings } from './finding.ts';
import { findSecret, type References } from './references.ts';

/** The cookie of issued access tokens; `__Host-` ties it to one host, to TLS and to the path `/` (RFC 6265bis §4.1.3.2). */
export const ACCESS_COOKIE = '__Host-access_token';

const TOKENS: Path = ['spec', 'tokens'];
const CREDENTIALS: Path = [...TOKENS, 'login', 'credentials'];
const ACCESS_LIFETIME_MS = 3_600_000;

/** Resolves what a policy says of its token endpoints; undefined: nobody logs in here. */
export function compileTokenEndpoints(
  { metadata, spec }: AccessPolicy,
  { resource, keys }: UsableKeySet,
  references: References,
  findings: Findings,
): TokenEndpoints | undefined {
  const { tokens } = spec;
  if (tokens?.login === undefined) return undefined;
  const { login, register, refresh, logout, delivery } = tokens;
  const { namespace, name } = resource.metadata;
  const { issuer = '', audiences = [], maxTokenLifetime = '0s', clockSkew } = resource.spec;
  const longestMs = parseDuration(maxTokenLifetime) ?? 0;
  const accessLifetimeMs =
    tokens.accessLifetime === undefined
      ? Math.min(longestMs, ACCESS_LIFETIME_MS)
      : (parseDuration(tokens.accessLifetime) ?? 0);

  if (namespace !== metadata.namespace) {
    findings.error(
      [...TOKENS, 'keySetRef', 'namespace'],
      `keys that sign never leave their namespace, and key set ${namespace}/${name} is of another; name a SigningKeySet of namespace ${metadata.namespace}, or leave login out`,
      'RefNotPermitted',
    );
  }
  if (accessLifetimeMs > longestMs) {
    findings.error(
      [...TOKENS, 'accessLifetime'],
      `is longer than maxTokenLifetime of key set ${namespace}/${name}, so that every token would be refused; write at most ${maxTokenLifetime}`,
    );
  }
  const refreshLifetimeMs = parseDuration(tokens.refreshLifetime) ?? 0;
  if (refresh !== undefined && refreshLifetimeMs <= accessLifetimeMs) {
    findings.warn(
      [...TOKENS, 'refreshLifetime'],
      'is no longer than accessLifetime, so that nobody can stay logged in by refreshing; write a longer one, such as 168h',
    );
  }
  if (login.credentials.htpasswdSecretRef !== undefined)
    readUsers(login.credentials.htpasswdSecretRef.name, metadata.namespace, references, findings);
  if (delivery === 'Cookie') warnOfUnreadCookie(spec.authentication, tokens.keySetRef.name, findings);
  if (logout !== undefined && spec.authentication.revocation === undefined) {
    findings.warn(
      [...TOKENS, 'logout'],
      'ends sessions, but access tokens stay good until they end, because nothing looks for revoked ones; write authentication: {revocation: {}}',
    );
  }
  reportEqualPaths(tokens, spec.pathMatching, findings);

  return {
    issuer,
    audiences,
    kids: keys.map(({ kid }) => kid),
    accessLifetimeMs,
    refreshLifetimeMs,
    refreshGraceMs: parseDuration(tokens.refreshGrace) ?? 0,
    clockSkewMs: parseDuration(clockSkew) ?? 0,
    login: { path: login.path, upstream: login.credentials.upstream?.path ?? null },
    register: register ?? null,
    refresh: refresh ?? null,
    logout: logout ?? null,
    delivery,
  };
}

/** The users of a Secret; null: it cannot be had or something in it is wrong, reported at the reference. */
export function readUsers(
  name: string,
  namespace: string,
  references: References,
  findings: Findings,
): HtpasswdUsers | null {
  const path = [...CREDENTIALS, 'htpasswdSecretRef', 'name'];
  const holds = 'a line NAME:HASH for each user, as `portcullis htpasswd NAME` prints it, as its key users.htpasswd';
  const secret = findSecret(name, path, holds, namespace, references, findings);
  if (secret === null) return null;
  const refuse = (problem: string): null => {
    findings.error(path, `Secret ${namespace}/${name}: ${problem}`, 'RefNotFound');
    return null;
  };
  const { 'users.htpasswd': users, 'claims.yaml': yaml, 'claims.json': json } = secret.data;
  if (users === undefined) return refuse(`has no key users.htpasswd; write ${holds}`);
  if (yaml !== undefined && json !== undefined) return refuse('has both claims.yaml and claims.json; keep one of them');
  const read = parseHtpasswd(users, yaml ?? json ?? null);
  if (read.ok) return read.users;
  for (const problem of read.problems) refuse(problem);
  return null;
}

/** Paths that the API server tells apart, and this policy does not. */
function reportEqualPaths(
  tokens: NonNullable<AccessPolicy['spec']['tokens']>,
  { case: compared }: AccessPolicy['spec']['pathMatching'],
  findings: Findings,
): void {
  const seen = new Map<string, string>();
  for (const [member, path] of endpointPaths(tokens)) {
    const key = compared === 'Insensitive' ? path.toLowerCase() : path;
    const other = seen.get(key);
    const at = member === 'jwksPath' ? [...TOKENS, member] : [...TOKENS, member, 'path'];
    if (other !== undefined) findings.error(at, `is the path of ${other} too; write another`);
    else seen.set(key, member);
  }
}

function warnOfUnreadCookie({ jwt }: AccessPolicy['spec']['authentication'], keySet: string, findings: Findings): void {
  const isRead = jwt.some(
    ({ keySetRef, from }) => keySetRef?.name === keySet && from.some(({ cookie }) => cookie === ACCESS_COOKIE),
  );
  if (isRead) return;
  findings.warn(
    [...TOKENS, 'delivery'],
    `is Cookie, and no issuer in authentication.jwt with keySetRef ${keySet} reads that cookie: whoever logged in stays unknown; write from: [{cookie: ${ACCESS_COOKIE}}] there`,
  );
}

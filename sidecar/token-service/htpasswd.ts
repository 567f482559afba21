import { parse } from 'yaml';
import type { HtpasswdCredentials } from './config.ts';

/** The least work (2^12 rounds) that a hash must cost, and the most: beyond it one login takes seconds. */
export const MIN_BCRYPT_COST = 12;
const MAX_BCRYPT_COST = 15;
const MAX_NAME_LENGTH = 256;

const BCRYPT_HASH = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
/** What the token service says itself (RFC 7519 §4.1); the user's name is `sub`. */
const RESERVED_CLAIMS = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti'];

/** Users with their claims, or everything that is wrong with them; problems name users, never hashes. */
export type HtpasswdResult =
  | { readonly ok: true; readonly credentials: HtpasswdCredentials }
  | { readonly ok: false; readonly problems: readonly string[] };

/** The cost of a bcrypt hash as a number, NaN for other texts. */
export function costOf(hash: string): number {
  return Number(BCRYPT_HASH.exec(hash)?.[1]);
}

/**
 * Reads a Secret of users: `users.htpasswd` with a line `NAME:HASH` for each, bcrypt of cost 12 to 15, and optionally `claims.yaml`
 * or `claims.json`, a mapping from name to claims such as `{roles: [trader], tenant_id: acme, active: false}`.
 */
export function parseHtpasswd(users: string, claims: string | null): HtpasswdResult {
  const problems: string[] = [];
  const hashes = readUsers(users, problems);
  const ofUsers = claims === null ? new Map() : readClaims(claims, hashes, problems);
  if (problems.length > 0) return { ok: false, problems };
  const credentials = {
    kind: 'Htpasswd',
    users: Object.fromEntries(hashes),
    claims: Object.fromEntries(ofUsers),
  } as const;
  return { ok: true, credentials };
}

function readUsers(text: string, problems: string[]): ReadonlyMap<string, string> {
  const users = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    if (name === '' || name.length > MAX_NAME_LENGTH || /[\x00-\x1f\x7f]/.test(name)) {
      problems.push(
        `users.htpasswd, line ${index + 1}: write NAME:HASH, the name with 1 to ${MAX_NAME_LENGTH} characters and none of them a control character`,
      );
      continue;
    }
    const problem = users.has(name) ? 'stands there twice; remove one line' : hashProblem(line.slice(colon + 1));
    if (problem !== null) problems.push(`users.htpasswd: user ${JSON.stringify(name)} ${problem}`);
    users.set(name, line.slice(colon + 1));
  }
  if (users.size === 0 && problems.length === 0) {
    problems.push(
      'users.htpasswd: holds no user; write a line NAME:HASH for each, as `htpasswd -nBC 12 NAME` prints it',
    );
  }
  return users;
}

function hashProblem(hash: string): string | null {
  const cost = costOf(hash);
  if (Number.isNaN(cost)) return 'has no bcrypt hash ($2b$…); make one with `htpasswd -nBC 12 NAME`';
  if (cost < MIN_BCRYPT_COST)
    return `is hashed at cost ${cost}; hash again at ${MIN_BCRYPT_COST}: \`htpasswd -nBC 12 NAME\``;
  if (cost > MAX_BCRYPT_COST)
    return `is hashed at cost ${cost}, which takes seconds; use ${MIN_BCRYPT_COST} to ${MAX_BCRYPT_COST}`;
  return null;
}

function readClaims(
  text: string,
  users: ReadonlyMap<string, string>,
  problems: string[],
): ReadonlyMap<string, Readonly<Record<string, unknown>>> {
  const claims = new Map<string, Readonly<Record<string, unknown>>>();
  let document: unknown;
  try {
    document = parse(text);
  } catch {
    // Without the parser's words: they quote the text.
  }
  if (!isMapping(document)) {
    problems.push('claims: write a mapping from user name to claims, such as alice: {roles: [trader]}');
    return claims;
  }
  for (const [name, ofUser] of Object.entries(document)) {
    const problem = claimsProblem(name, ofUser, users);
    if (problem !== null) problems.push(`claims: user ${JSON.stringify(name)} ${problem}`);
    else claims.set(name, ofUser as Readonly<Record<string, unknown>>);
  }
  return claims;
}

function claimsProblem(name: string, claims: unknown, users: ReadonlyMap<string, string>): string | null {
  if (!users.has(name)) return 'is not in users.htpasswd; correct the name or remove it';
  if (!isMapping(claims)) return 'needs a mapping of claims, such as {roles: [trader]}';
  const reserved = RESERVED_CLAIMS.filter((claim) => Object.hasOwn(claims, claim));
  if (reserved.length > 0) return `must not set ${reserved.join(', ')}: the token service does`;
  if (Object.hasOwn(claims, 'active') && typeof claims['active'] !== 'boolean')
    return 'has an active that is not true or false';
  return null;
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

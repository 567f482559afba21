import { isMap, isNode, LineCounter, parseDocument } from 'yaml';
import type { HtpasswdUsers } from '../bundle/tokens.ts';
import { costOf, MAX_BCRYPT_COST, MIN_BCRYPT_COST } from './bcrypt-cost.ts';

const MAX_NAME_LENGTH = 256;
/** In JSON: with signature and the rest a token has room for no more (8 KiB, in base64). */
const MAX_CLAIMS_CHARACTERS = 4_096;

/** What the token service says itself (RFC 7519 §4.1); the user's name is `sub`. */
const RESERVED_CLAIMS = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti'];

/** Users with their claims, or everything that is wrong with them. Problems name lines: who sees them may not see the Secret. */
export type HtpasswdResult =
  | { readonly ok: true; readonly users: HtpasswdUsers }
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * Reads a Secret of users: `users.htpasswd` with a line `NAME:HASH` for each, bcrypt of cost 12 to 15, and optionally `claims.yaml`
 * or `claims.json`, a mapping from name to claims such as `{roles: [trader], tenant_id: acme, active: false}`.
 */
export function parseHtpasswd(users: string, claims: string | null): HtpasswdResult {
  const problems: string[] = [];
  const hashes = readUsers(users, problems);
  const ofUsers = claims === null ? new Map() : readClaims(claims, hashes, problems);
  if (problems.length > 0) return { ok: false, problems };
  return { ok: true, users: { hashes: Object.fromEntries(hashes), claims: Object.fromEntries(ofUsers) } };
}

function readUsers(text: string, problems: string[]): ReadonlyMap<string, string> {
  const users = new Map<string, string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    const problem = users.has(name)
      ? 'the user stands there twice; remove one line'
      : (nameProblem(name) ?? hashProblem(line.slice(colon + 1)));
    if (problem !== null) problems.push(`users.htpasswd, line ${index + 1}: ${problem}`);
    users.set(name, line.slice(colon + 1));
  }
  if (users.size === 0) {
    problems.push(
      'users.htpasswd: holds no user; write a line NAME:HASH for each, as `portcullis htpasswd NAME` prints it',
    );
  }
  return users;
}

function nameProblem(name: string): string | null {
  if (name !== '' && name.length <= MAX_NAME_LENGTH && !/[\x00-\x1f\x7f]/.test(name)) return null;
  return `write NAME:HASH, the name with 1 to ${MAX_NAME_LENGTH} characters and none of them a control character`;
}

function hashProblem(hash: string): string | null {
  const cost = costOf(hash);
  if (Number.isNaN(cost)) return 'no bcrypt hash ($2b$…); make one with `portcullis htpasswd NAME`';
  if (cost < MIN_BCRYPT_COST) return `hashed at cost ${cost}; hash again at ${MIN_BCRYPT_COST}`;
  if (cost > MAX_BCRYPT_COST)
    return `hashed at cost ${cost}, which takes seconds; use ${MIN_BCRYPT_COST} to ${MAX_BCRYPT_COST}`;
  return null;
}

function readClaims(
  text: string,
  users: ReadonlyMap<string, string>,
  problems: string[],
): ReadonlyMap<string, Readonly<Record<string, unknown>>> {
  const claims = new Map<string, Readonly<Record<string, unknown>>>();
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const [error] = document.errors;
  // Without the parser's words: they quote the text.
  const at = error === undefined ? '' : `, line ${lines.linePos(error.pos[0]).line}`;
  if (error !== undefined || !isMap(document.contents)) {
    problems.push(`claims${at}: write a mapping from user name to claims, such as alice: {roles: [trader]}`);
    return claims;
  }
  for (const { key, value } of document.contents.items) {
    const place = `claims, line ${lines.linePos(isNode(key) ? (key.range?.[0] ?? 0) : 0).line}`;
    const name = String(isNode(key) ? key.toJS(document) : key);
    let ofUser: unknown;
    try {
      ofUser = isNode(value) ? value.toJS(document) : value;
    } catch {
      // Aliases without end.
    }
    const problem = users.has(name) ? claimsProblem(ofUser) : 'such a user is not in users.htpasswd';
    if (problem !== null) problems.push(`${place}: ${problem}`);
    else claims.set(name, ofUser as Readonly<Record<string, unknown>>);
  }
  return claims;
}

function claimsProblem(claims: unknown): string | null {
  if (!isMapping(claims)) return 'write a mapping of claims, such as {roles: [trader]}';
  const reserved = RESERVED_CLAIMS.filter((claim) => Object.hasOwn(claims, claim));
  if (reserved.length > 0) return `leave out ${reserved.join(', ')}: the token service sets it`;
  if (Object.hasOwn(claims, 'active') && typeof claims['active'] !== 'boolean') return 'active must be true or false';
  const { length } = JSON.stringify(claims);
  if (length > MAX_CLAIMS_CHARACTERS)
    return `${length} characters of claims; a token has room for ${MAX_CLAIMS_CHARACTERS}`;
  return null;
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import type { AccessBundle, AccessRule, AllowEntry, TenantSource } from '../../bundle/types.ts';

/** A request as the reference sees it: decoded segments and whether a slash follows them. */
export interface ReferenceRequest {
  readonly host: string;
  readonly segments: readonly string[];
  readonly slash: boolean;
  readonly method: string;
  readonly ip: string;
  /** One of REFERENCE_QUERIES and REFERENCE_HEADERS, by name. */
  readonly query: string;
  readonly headers: string;
}

/** What a claim set comes down to, worked out by whoever made the claims. */
export interface ReferenceIdentity {
  readonly user: string | null;
  readonly roles: readonly string[];
  readonly tenant: string | null;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** A rule found, the values of its parameters, and how well it fits: smaller is better, from the left. */
export interface ReferenceMatch {
  readonly rule: AccessRule;
  readonly index: number;
  readonly params: Readonly<Record<string, string>>;
  /** By position in the request's path: 0 literal or end, 1 parameter, 2 `**`. */
  readonly pathFit: readonly number[];
  /** Host, method, index. */
  readonly tieFit: readonly number[];
}

/** Conditions of the tests, by their source, in JavaScript. They throw where CEL errs. */
export const REFERENCE_CONDITIONS: Readonly<
  Record<
    string,
    (request: ReferenceRequest, identity: ReferenceIdentity | null, params: Record<string, string>) => boolean
  >
> = {
  'claims.sub == path.x': (_, identity, params) => present(identity?.claims['sub']) === present(params['x']),
  'method == "GET"': (request) => request.method === 'GET',
  'source.ip.startsWith("10.")': (request) => request.ip.startsWith('10.'),
  'claims.absent == "x"': () => present(undefined) === 'x',
  'has(claims.sub) && claims.sub != "u1"': (_, identity) =>
    identity?.claims['sub'] !== undefined && identity.claims['sub'] !== 'u1',
};

/** Queries of the tests, and the parameter `t` that every server reads out of them; null: none, or not every server the same. */
export const REFERENCE_QUERIES: Readonly<Record<string, string | null>> = {
  '': null,
  '?t=a': 'a',
  '?x=1&%74=%61': 'a',
  '?t=caf%C3%A9': 'café',
  '?t=a&t=a': null,
  '?t=a&t[]=b': null,
  '?t=a&x=%ff': null,
};

/** Headers of the tests, and the header `x-t` that every server reads out of them. */
export const REFERENCE_HEADERS: Readonly<
  Record<string, { readonly fields: readonly string[]; readonly value: string | null }>
> = {
  none: { fields: ['x-other', 'a'], value: null },
  one: { fields: ['x-other', 'b', 'x-t', 'a'], value: 'a' },
  twice: { fields: ['x-t', 'a', 'x-t', 'a'], value: null },
  twin: { fields: ['x_t', 'b', 'x-t', 'a'], value: null },
};

/** Whether a schedule is open at REFERENCE_NOW, by its first window: a Friday, 16:05 in New York. */
export const REFERENCE_OPEN: Readonly<Record<string, boolean>> = {
  'Mon-Fri 09:30-16:05': false,
  'Thu-Sat 16:05-16:06': true,
  'Thu 18:00-17:00': true,
};

/** When requests of the tests arrive. */
export const REFERENCE_NOW = Date.parse('2026-11-20T16:05:00-05:00');

/** Slow and obvious: tries every path and host of every rule and takes the best fit. */
export function referenceFind(bundle: AccessBundle, request: ReferenceRequest): ReferenceMatch | null {
  const found: ReferenceMatch[] = [];
  for (const [index, rule] of bundle.rules.entries()) {
    const methodFit = fitOfMethod(rule.match.methods, request.method);
    if (methodFit === null) continue;
    for (const path of rule.match.paths.length === 0 ? ['/**'] : rule.match.paths) {
      const pathFit = fitOfPath(path, request, bundle);
      if (pathFit === null) continue;
      for (const host of rule.match.hosts.length === 0 ? [null] : rule.match.hosts) {
        const hostFit = fitOfHost(host, request.host);
        if (hostFit === null) continue;
        found.push({ rule, index, params: pathFit.params, pathFit: pathFit.fit, tieFit: [hostFit, methodFit, index] });
      }
    }
  }
  found.sort((a, b) => compareFits(a.pathFit, b.pathFit) || compareFits(a.tieFit, b.tieFit));
  return found[0] ?? null;
}

/** Reads `allow` entry by entry, then tenant and schedule. */
export function referenceAuthorize(
  bundle: AccessBundle,
  match: ReferenceMatch | null,
  identity: ReferenceIdentity | null,
  request: ReferenceRequest,
): string {
  if (match === null) return identity === null ? 'unauthenticated' : 'no_rule';
  const outcomes = match.rule.allow.map((entry) => outcomeOf(bundle, entry, match, identity, request));
  if (!outcomes.includes('holds')) {
    if (identity === null) return 'unauthenticated';
    return outcomes.includes('error') ? 'condition_error' : 'forbidden';
  }
  const { tenant, schedule } = match.rule;
  if (tenant && (identity?.tenant ?? 'nobody') !== tenantOf(tenant, match, request)) return 'tenant_mismatch';
  return schedule && !REFERENCE_OPEN[schedule.open[0]!] ? 'outside_schedule' : 'Allow';
}

function tenantOf({ source, name }: TenantSource, match: ReferenceMatch, request: ReferenceRequest): string | null {
  if (source === 'path') return match.params[name] ?? null;
  return source === 'query' ? REFERENCE_QUERIES[request.query]! : REFERENCE_HEADERS[request.headers]!.value;
}

function outcomeOf(
  bundle: AccessBundle,
  entry: AllowEntry,
  match: ReferenceMatch,
  identity: ReferenceIdentity | null,
  request: ReferenceRequest,
): 'holds' | 'fails' | 'error' {
  const needsIdentity = !entry.anonymous || entry.authenticated || entry.roles || entry.permissions;
  if (needsIdentity && identity === null) return 'fails';
  const roles = identity?.roles ?? [];
  if (entry.roles && !entry.roles.some((role) => roles.includes(role))) return 'fails';
  const granted = bundle.roles.filter((role) => roles.includes(role.name)).flatMap((role) => role.permissions);
  const may = (permission: string): boolean => granted.includes('*') || granted.includes(permission);
  if (entry.permissions && !entry.permissions.every(may)) return 'fails';
  if (entry.when === undefined) return 'holds';
  try {
    return REFERENCE_CONDITIONS[entry.when]!(request, identity, match.params) ? 'holds' : 'fails';
  } catch {
    return 'error';
  }
}

function present(value: unknown): unknown {
  if (value === undefined) throw new Error('no such key');
  return value;
}

function fitOfMethod(methods: readonly string[], method: string): number | null {
  if (methods.length === 0) return 2;
  if (methods.includes(method)) return 0;
  return method === 'HEAD' && methods.includes('GET') ? 1 : null;
}

function fitOfHost(pattern: string | null, host: string): number | null {
  if (pattern === null) return 1000;
  if (!pattern.startsWith('*')) return pattern === host ? 0 : null;
  const suffix = pattern.slice(1);
  return host.endsWith(suffix) && host !== suffix ? 500 - suffix.length : null;
}

function fitOfPath(pattern: string, request: ReferenceRequest, { pathMatching }: AccessBundle) {
  const fold = (text: string): string =>
    pathMatching.case === 'Insensitive' ? text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : text;
  const parts = pattern.split('/').slice(1);
  const slash = parts.at(-1) === '';
  if (slash) parts.pop();
  const rest = parts.at(-1) === '**';
  if (rest) parts.pop();
  if (parts.length > request.segments.length || (!rest && parts.length < request.segments.length)) return null;
  // The root is "/" in any case: there is no path without its slash.
  if (!rest && parts.length > 0 && pathMatching.trailingSlash === 'Strict' && slash !== request.slash) return null;
  const params: Record<string, string> = {};
  const fit: number[] = [];
  for (const [at, part] of parts.entries()) {
    const segment = request.segments[at]!;
    if (part.startsWith('{')) params[part.slice(1, -1)] = segment;
    else if (fold(decodeURIComponent(part)) !== fold(segment)) return null;
    fit.push(part.startsWith('{') ? 1 : 0);
  }
  return { params, fit: rest ? [...fit, 2] : fit };
}

/** A list that has ended counts as 0 from there on: to end is more specific than `**`. */
function compareFits(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

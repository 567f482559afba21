import type { TenantSource } from '../bundle/types.ts';
import type { Identity, RequestFacts, RuleMatch } from './access-evaluator.ts';
import { parseQuery } from './query-parameters.ts';

/**
 * The tenant that a request is about, decoded once; undefined when it names none.
 * @throws Error when another server could read another tenant out of the same request
 */
export function tenantOf({ source, name }: TenantSource, match: RuleMatch, facts: RequestFacts): string | undefined {
  if (source === 'path') return match.params[name];
  return source === 'query' ? fromQuery(name, facts.query) : fromHeaders(name, facts.headers);
}

/** Whether the identity has a tenant and the request is about that one, character for character. */
export function isOwnTenant(
  source: TenantSource,
  match: RuleMatch,
  identity: Identity | null,
  facts: RequestFacts,
): boolean {
  if (identity === null || identity.tenant === null) return false;
  try {
    return tenantOf(source, match, facts) === identity.tenant;
  } catch {
    return false;
  }
}

function fromQuery(name: string, query: string): string | undefined {
  if (query.includes(';')) throw new Error('some servers begin a new parameter at ";", which the query has');
  const parameters = parseQuery(query);
  for (const other of Object.keys(parameters)) {
    if (other !== name && mayBeTakenFor(name, other)) {
      throw new Error(`some servers take another parameter of the query for ${name}`);
    }
  }
  return parameters[name];
}

/** Some servers tell no case apart, and PHP, qs and Rack read `a[]`, `a[b`, ` a` and `a.b` each in their own way. */
function mayBeTakenFor(name: string, other: string): boolean {
  const wanted = lettersOf(name);
  const [beforeSign = ''] = other.trimStart().split(/[^\w.-]/, 1);
  return lettersOf(other) === wanted || lettersOf(beforeSign) === wanted;
}

function lettersOf(name: string): string {
  return name.replace(/[^A-Za-z0-9]/g, '').toLowerCase();
}

function fromHeaders(name: string, headers: readonly string[]): string | undefined {
  const wanted = foldedHeader(name);
  let value: string | undefined;
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const other = headers[at]!;
    if (foldedHeader(other) !== wanted) continue;
    if (value !== undefined || other !== name) throw new Error(`more than one header is ${name} to some servers`);
    value = headers[at + 1]!;
    if (/[^\x20-\x7e]/.test(value)) throw new Error(`${name} is not ASCII, which servers decode in different ways`);
  }
  return value;
}

/** CGI, WSGI and others take `_` for `-`. */
function foldedHeader(name: string): string {
  return name.replaceAll('_', '-');
}

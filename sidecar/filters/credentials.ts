import type { CredentialSource, JwtAuthenticator } from '../../policy/bundle/types.ts';
import type { Exchange } from '../pipeline/exchange.ts';

/** A place where tokens may stand, and whose tokens are accepted there. */
export interface CredentialPlace {
  readonly cookie: boolean;
  /** Names of the authenticators that read this place. */
  readonly authenticators: ReadonlySet<string>;
  /** The token; undefined when there is none; `ambiguous` when there is more than one. */
  find(exchange: Exchange): string | undefined | typeof AMBIGUOUS;
}

/** More than one credential in one place: no choice between them is safe. */
export const AMBIGUOUS = Symbol('ambiguous');

/** The places of a policy in the order in which its authenticators name them, each once. */
export function credentialPlaces(authenticators: readonly JwtAuthenticator[]): readonly CredentialPlace[] {
  const places = new Map<string, { source: CredentialSource; authenticators: Set<string> }>();
  for (const { name, from } of authenticators) {
    for (const source of from) {
      const key = JSON.stringify(source);
      const place = places.get(key) ?? { source, authenticators: new Set<string>() };
      place.authenticators.add(name);
      places.set(key, place);
    }
  }
  return [...places.values()].map(({ source, authenticators: names }) => ({
    cookie: source.kind === 'cookie',
    authenticators: names,
    find: readerOf(source),
  }));
}

function readerOf(source: CredentialSource): CredentialPlace['find'] {
  switch (source.kind) {
    case 'header':
      return headerReader(source.header, source.scheme);
    case 'cookie':
      return cookieReader(source.cookie);
    case 'query':
      return queryReader(source.parameter);
  }
}

/** The value of a header by its lower-case name: undefined when it is not there, ambiguous when it is there twice. */
export function onlyHeader(headers: readonly string[], name: string): string | undefined | typeof AMBIGUOUS {
  let found: string | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    if (found !== undefined) return AMBIGUOUS;
    found = headers[i + 1];
  }
  return found;
}

/** `Authorization: <scheme> <token>` (RFC 9110 §11.4; the scheme without case); with an empty scheme the whole value. */
function headerReader(header: string, scheme: string): CredentialPlace['find'] {
  const prefix = scheme.toLowerCase();
  return ({ headers }) => {
    let found: string | undefined;
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i] !== header) continue;
      if (found !== undefined) return AMBIGUOUS;
      const value = headers[i + 1] as string;
      if (prefix === '') found = value;
      else if (value.charCodeAt(prefix.length) === 0x20 && value.slice(0, prefix.length).toLowerCase() === prefix) {
        found = value.slice(prefix.length + 1).trim();
      }
    }
    return found;
  };
}

/**
 * Optional white space (RFC 9110 §5.6.3) and nothing else: browsers let anybody's neighbour set a cookie whose name begins with another
 * blank, such as U+00A0, and it must not pass for one with `__Host-`.
 */
const NOT_BLANK = /[^ \t]/;
const BLANKS_AT_END = /[ \t]+$/;

/** The value of one cookie over all Cookie headers (RFC 6265 §4.2). */
export function cookieReader(cookie: string): CredentialPlace['find'] {
  const prefix = `${cookie}=`;
  return ({ headers }) => {
    let found: string | undefined;
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i] !== 'cookie') continue;
      for (const pair of (headers[i + 1] as string).split(';')) {
        const start = pair.search(NOT_BLANK);
        if (start < 0 || !pair.startsWith(prefix, start)) continue;
        if (found !== undefined) return AMBIGUOUS;
        found = pair.slice(start + prefix.length).replace(BLANKS_AT_END, '');
      }
    }
    return found;
  };
}

/** The value of one query parameter of a WebSocket handshake, where browsers can set no header; elsewhere it is not looked for. */
function queryReader(parameter: string): CredentialPlace['find'] {
  return ({ upgrade, query }) => {
    if (!upgrade || query.length < 2) return undefined;
    let found: string | undefined;
    for (const pair of query.slice(1).split('&')) {
      if (parameterName(pair) !== parameter) continue;
      if (found !== undefined) return AMBIGUOUS;
      const equals = pair.indexOf('=');
      found = equals < 0 ? '' : pair.slice(equals + 1);
    }
    return found;
  };
}

/** Takes the parameters that carry tokens out of the query of a handshake; null: there are no such places. */
export function tokenParameters(authenticators: readonly JwtAuthenticator[]): ((query: string) => string) | null {
  const names = new Set(
    authenticators.flatMap(({ from }) => from.flatMap((source) => (source.kind === 'query' ? source.parameter : []))),
  );
  if (names.size === 0) return null;
  return (query) => {
    if (query.length < 2) return query;
    const pairs = query.slice(1).split('&');
    const kept = pairs.filter((pair) => !names.has(parameterName(pair)));
    if (kept.length === pairs.length) return query;
    return kept.length === 0 ? '' : `?${kept.join('&')}`;
  };
}

/** As servers decode it: a name that is escaped is the same name. */
function parameterName(pair: string): string {
  const equals = pair.indexOf('=');
  const name = equals < 0 ? pair : pair.slice(0, equals);
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}

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
    find: source.kind === 'cookie' ? cookieReader(source.cookie) : headerReader(source.header, source.scheme),
  }));
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

/** The value of one cookie over all Cookie headers (RFC 6265 §4.2). */
function cookieReader(cookie: string): CredentialPlace['find'] {
  const prefix = `${cookie}=`;
  return ({ headers }) => {
    let found: string | undefined;
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i] !== 'cookie') continue;
      for (const pair of (headers[i + 1] as string).split(';')) {
        const trimmed = pair.trim();
        if (!trimmed.startsWith(prefix)) continue;
        if (found !== undefined) return AMBIGUOUS;
        found = trimmed.slice(prefix.length);
      }
    }
    return found;
  };
}

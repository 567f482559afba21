import type { JwtAuthenticator } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { type LoadedKey, loadKeys } from './load-keys.ts';

/** One key as the voice of one issuer, with the authenticators that accept this issuer's tokens by this key. */
export interface IssuerKey {
  readonly issuer: string;
  readonly key: LoadedKey;
  /** In the order of the policy; the first whose claim checks pass accepts the token. */
  readonly authenticators: readonly JwtAuthenticator[];
}

/** Keys by kid. One kid may belong to several issuers; then the token's `iss` chooses, and nothing else. */
export type IssuerKeys = ReadonlyMap<string, readonly IssuerKey[]>;

/**
 * Loads every authenticator's keys and binds each to its issuer (RFC 8725 §3.8), so that a key never vouches for another
 * issuer's tokens. Throws `key_refused` as `loadKeys` does, and when one issuer has two different keys of one kid; of keys that were
 * fetched, which may come to that at any time, the later is left out, and they come after those of key sets.
 */
export function bindKeysToIssuers(authenticators: readonly JwtAuthenticator[]): IssuerKeys {
  const byKid = new Map<string, IssuerKey[]>();
  const keySetsFirst = authenticators.toSorted((a, b) => Number(a.keySet === null) - Number(b.keySet === null));
  for (const authenticator of keySetsFirst) {
    for (const key of loadKeys(authenticator.keys).values()) {
      const ofKid = byKid.get(key.kid) ?? [];
      byKid.set(key.kid, ofKid);
      const at = ofKid.findIndex((entry) => entry.issuer === authenticator.issuer);
      const known = ofKid[at];
      if (known === undefined) {
        ofKid.push({ issuer: authenticator.issuer, key, authenticators: [authenticator] });
        continue;
      }
      if (known.key.identity !== key.identity) {
        if (authenticator.keySet === null) continue;
        throw new PortcullisError(
          'key_refused',
          `verification key "${key.kid}" refused: issuer "${authenticator.issuer}" has two different keys of this kid; ` +
            'give every key a kid of its own',
        );
      }
      ofKid[at] = { ...known, authenticators: [...known.authenticators, authenticator] };
    }
  }
  return byKid;
}

/** The key that may speak for `issuer` under `kid`. */
export function findIssuerKey(keys: IssuerKeys, kid: string, issuer: unknown): IssuerKey | 'unknown_key' | 'issuer' {
  const ofKid = keys.get(kid);
  if (ofKid === undefined) return 'unknown_key';
  return ofKid.find((entry) => entry.issuer === issuer) ?? 'issuer';
}

/** Whether every token gets the same verdict from both: the same key, and the same checks in the same order. */
export function judgesAlike(one: IssuerKey, other: IssuerKey): boolean {
  return (
    one.key.identity === other.key.identity &&
    one.issuer === other.issuer &&
    checksOf(one.authenticators) === checksOf(other.authenticators)
  );
}

/** The settings that a verdict depends on; the key set's serial and the other keys are not among them. */
function checksOf(authenticators: readonly JwtAuthenticator[]): string {
  return JSON.stringify(
    authenticators.map(({ name, audiences, clockSkewMs, maxTokenLifetimeMs, requiredClaims }) => [
      name,
      audiences,
      clockSkewMs,
      maxTokenLifetimeMs,
      requiredClaims,
    ]),
  );
}

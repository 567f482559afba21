import { revocationGroup } from '../../policy/bundle/authentication.ts';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import type { RevocationStore } from '../stores/revocations.ts';

/** Which tokens are to be refused from now on. */
export interface RevokeRequest {
  /** One token by its `jti`, and its `exp` in epoch milliseconds where that is known. */
  readonly token: { readonly jti: string; readonly expiresAt: number | null } | null;
  /** Or all of a subject that were issued before an instant, epoch milliseconds; null: before now. */
  readonly subject: { readonly sub: string; readonly notBefore: number | null } | null;
  /** Of this issuer; null: of every issuer of the policy. */
  readonly issuer: string | null;
}

/** What was revoked with one issuer. */
export interface Revoked {
  readonly issuer: string;
  /** What it is stored under. */
  readonly group: string;
  /** False: the store did not take it; this process refuses the tokens all the same, and writes it once the store answers. */
  readonly stored: boolean;
}

/** What came of it. */
export type RevokeAnswer =
  | {
      readonly revoked: readonly Revoked[];
      /** Whether other pods learn of it: there is a store outside this one. */
      readonly shared: boolean;
    }
  | { readonly error: string };

/** Revokes tokens in the stores of a policy's issuers. `now`: epoch milliseconds. */
export async function revokeTokens(
  { token, subject, issuer }: RevokeRequest,
  { namespace, name, jwt, revocation }: Pick<AccessBundle, 'namespace' | 'name' | 'jwt' | 'revocation'>,
  { revocationsOf, shared }: { readonly revocationsOf: (group: string) => RevocationStore; readonly shared: boolean },
  now: number,
): Promise<RevokeAnswer> {
  if (revocation === undefined) {
    return {
      error: `AccessPolicy ${namespace}/${name} has no authentication.revocation, so that its pods would not look; write revocation: {} there`,
    };
  }
  const meant = jwt.filter((each) => issuer === null || each.issuer === issuer);
  if (meant.length === 0) {
    const known = [...new Set(jwt.map((each) => each.issuer))].join(', ') || 'no issuer';
    return { error: `AccessPolicy ${namespace}/${name} accepts no tokens of issuer ${issuer}; it has ${known}` };
  }
  /** Two authenticators may be of one issuer: the one whose tokens may live longest. */
  const byGroup = new Map<string, { readonly issuer: string; readonly longestMs: number; readonly skewMs: number }>();
  for (const each of meant) {
    const group = revocationGroup(each);
    const known = byGroup.get(group);
    byGroup.set(group, {
      issuer: each.issuer,
      longestMs: Math.max(each.maxTokenLifetimeMs, known?.longestMs ?? 0),
      skewMs: Math.max(each.clockSkewMs, known?.skewMs ?? 0),
    });
  }
  const revoked = [...byGroup].map(async ([group, { issuer: of, longestMs, skewMs }]): Promise<Revoked> => {
    const store = revocationsOf(group);
    // A clock that is ahead issues tokens that begin, and so end, later than ours would.
    const endOf = (issuedAt: number): number => issuedAt + longestMs + 2 * skewMs;
    const stored: boolean[] = [];
    if (token !== null) {
      const until = token.expiresAt === null ? endOf(now) : token.expiresAt + skewMs;
      stored.push(await store.revokeToken(token.jti, until, now));
    }
    if (subject !== null) {
      const notBefore = subject.notBefore ?? now;
      stored.push(await store.revokeSubject(subject.sub, notBefore, endOf(notBefore), now));
    }
    return { issuer: of, group, stored: stored.every(Boolean) };
  });
  return { revoked: await Promise.all(revoked), shared };
}

import { type RevocationConfig, revocationGroup } from '../../policy/bundle/authentication.ts';
import type { JwtAuthenticator } from '../../policy/bundle/types.ts';
import type { RevocationStore, RevocationVerdict } from '../stores/revocations.ts';
import type { VerifiedToken } from './token-verifier.ts';

/** Looks whether verified tokens were revoked; each issuer's in a store of its own. */
export interface RevocationCheck {
  /** `unknown` only where that denies. A promise when what is held is too old, and the store is asked once. */
  check(token: VerifiedToken): RevocationVerdict | Promise<RevocationVerdict>;
  /** By what is held alone, for connections that stay open: only what is known to be revoked is. */
  isRevoked(token: VerifiedToken): boolean;
}

/** Opens the store of every authenticator. */
export function revocationCheck(
  { onStoreFailure }: RevocationConfig,
  authenticators: readonly JwtAuthenticator[],
  revocationsOf: (group: string) => RevocationStore,
): RevocationCheck {
  const stores = new Map(authenticators.map((each) => [each.name, revocationsOf(revocationGroup(each))]));
  const look = ({ authenticator, claims }: VerifiedToken): RevocationVerdict => {
    const { jti, sub, iat } = claims;
    // Whatever has no store cannot be looked up, and is not known to be good.
    const store = stores.get(authenticator);
    return store?.check(textOf(jti), textOf(sub), typeof iat === 'number' ? iat * 1_000 : 0) ?? 'unknown';
  };
  const settled = (verdict: RevocationVerdict): RevocationVerdict =>
    verdict === 'unknown' && onStoreFailure === 'Allow' ? 'ok' : verdict;
  return {
    check: (token) => {
      const verdict = look(token);
      const store = verdict === 'unknown' ? stores.get(token.authenticator) : undefined;
      return store === undefined ? settled(verdict) : store.refresh().then(() => settled(look(token)));
    },
    isRevoked: (token) => look(token) === 'revoked',
  };
}

function textOf(claim: unknown): string | null {
  return typeof claim === 'string' ? claim : null;
}

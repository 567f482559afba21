import type { RefreshSession } from '../stores/refresh-tokens.ts';
import type { CredentialSource } from './check-credentials.ts';
import { issue, originDenial, refreshTokenOf, type TokenContext } from './issue-tokens.ts';
import type { Handler, TokenDenial } from './ports.ts';
import { hashOfSecret, successorOf } from './refresh-token.ts';

const SALT_BYTES = 16;
const INVALID: TokenDenial = { denial: 'refresh_token_invalid' };

/** POST with the refresh token: a new access token and the refresh token that replaces the one sent. */
export function refresh(context: TokenContext, source: CredentialSource): Handler {
  const { config, ports } = context;
  return async (request) => {
    const refused = originDenial(context, request);
    if (refused !== null) return refused;
    const token = refreshTokenOf(context, request);
    if (token === undefined) return INVALID;
    if ('denial' in token) return token;

    const { family, secret } = token;
    const now = ports.now();
    const salt = ports.randomBytes(SALT_BYTES).toString('base64url');
    const successor = { salt, hash: hashOfSecret(successorOf(secret, salt)) };
    const rotation = await ports.refreshTokens.rotate(
      family,
      hashOfSecret(secret),
      successor,
      config.refreshGraceMs,
      now,
    );
    const { clientAddress } = request;
    if (rotation.kind === 'Unavailable') return { denial: 'store_unavailable' };
    if (rotation.kind === 'Unknown') return INVALID;
    if (rotation.kind === 'Reused') {
      request.onEvent({ kind: 'RefreshTokenReused', user: rotation.session.user, clientAddress });
      return INVALID;
    }

    // Only now: who may be asked about is known by the family. A refusal ends it, whatever the rotation did.
    const claims = await renewedClaims(context, source, rotation.session);
    if (claims === 'unknown') return { denial: 'store_unavailable' };
    if (claims === null) {
      await ports.refreshTokens.revoke(family);
      return INVALID;
    }
    const live = { family, secret: rotation.salts.reduce(successorOf, secret), expiresInMs: rotation.expiresInMs };
    const answer = await issue(context, claims, live, now);
    if (!('denial' in answer)) request.onEvent({ kind: 'Refreshed', user: rotation.session.user, clientAddress });
    return answer;
  };
}

/** What the user's tokens say from now on; null when the user is gone, inactive, has another password, or was revoked since the login. */
async function renewedClaims(
  { ports: { revocations } }: TokenContext,
  source: CredentialSource,
  { user, claims, credential, loggedInAt }: RefreshSession,
): Promise<Readonly<Record<string, unknown>> | null | 'unknown'> {
  const current = source.current(user);
  if (current === null || (current !== undefined && current.credential !== credential)) return null;
  let verdict = revocations.check(null, user, loggedInAt);
  if (verdict === 'unknown') {
    await revocations.refresh();
    verdict = revocations.check(null, user, loggedInAt);
  }
  if (verdict === 'unknown') return 'unknown';
  return verdict === 'revoked' ? null : (current?.claims ?? claims);
}

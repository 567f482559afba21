import { accessCookie, refreshCookie } from './cookies.ts';
import { NO_STORE, originDenial, refreshTokenOf, type TokenContext } from './issue-tokens.ts';
import type { Handler } from './ports.ts';

/**
 * POST with the refresh token, the access token, or both: revokes the family of the one and the `jti` of the other. 204 whether
 * or not there was anything to revoke; 503 when the store did not take it, since the tokens are then still good elsewhere.
 */
export function logout(context: TokenContext): Handler {
  const { config, ports } = context;
  const cookies = config.delivery === 'Cookie' ? [...accessCookie('', 0), ...refreshCookie(config, '', 0)] : [];
  return async (request) => {
    const refused = originDenial(context, request);
    if (refused !== null) return refused;
    const withoutToken = config.delivery === 'Body' && request.body.length === 0;
    const token = withoutToken ? undefined : refreshTokenOf(context, request);
    if (token !== undefined && 'denial' in token) return token;

    const revoked: Promise<boolean>[] = [];
    if (token !== undefined) revoked.push(ports.refreshTokens.revoke(token.family));
    const { iss, jti, exp } = request.identity?.claims ?? {};
    // Another issuer's jti may be one of ours by chance, or by intent.
    if (iss === config.issuer && typeof jti === 'string' && typeof exp === 'number') {
      revoked.push(ports.revocations.revokeToken(jti, exp * 1000 + config.clockSkewMs, ports.now()));
    }
    if ((await Promise.all(revoked)).includes(false)) return { denial: 'store_unavailable' };
    request.onEvent({ kind: 'LoggedOut', clientAddress: request.clientAddress });
    return { status: 204, headers: [...NO_STORE, ...cookies], body: '' };
  };
}

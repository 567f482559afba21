import { accessCookie, refreshCookie } from './cookies.ts';
import { NO_STORE, originDenial, refreshTokenOf, type TokenContext } from './issue-tokens.ts';
import { LogoutTally } from './logout-tally.ts';
import type { Handler } from './ports.ts';

/**
 * POST with the refresh token, the access token, or both: revokes the family of the one and the `jti` of the other. 204 whether
 * or not there was anything to revoke; 503 when the store did not take it, since the tokens are then still good elsewhere. Who logs
 * out more access tokens than anybody has is revoked as a subject: a revocation each would fill up what all pods hold.
 */
export function logout(context: TokenContext): Handler {
  const { config, ports } = context;
  const cookies = config.delivery === 'Cookie' ? [...accessCookie('', 0), ...refreshCookie(config, '', 0)] : [];
  const tally = new LogoutTally();
  const revokeAccess = ({ jti, exp, sub, iat }: Readonly<Record<string, unknown>>): readonly Promise<boolean>[] => {
    if (typeof jti !== 'string' || typeof exp !== 'number') return [];
    const now = ports.now();
    const untilMs = exp * 1000 + config.clockSkewMs;
    if (typeof sub !== 'string' || typeof iat !== 'number' || !tally.isOneTooMany(sub, config.accessLifetimeMs, now))
      return [ports.revocations.revokeToken(jti, untilMs, now)];
    // This token too: its issuer's clock may be ahead of ours. Whole seconds, so that these do not pile up either.
    const notBeforeMs = (Math.floor(Math.max(now / 1000, iat)) + 1) * 1000;
    const lastMs = Math.max(untilMs, notBeforeMs + config.accessLifetimeMs + config.clockSkewMs);
    return [ports.revocations.revokeSubject(sub, notBeforeMs, lastMs, now)];
  };
  return async (request) => {
    const refused = originDenial(context, request);
    if (refused !== null) return refused;
    const withoutToken = config.delivery === 'Body' && request.body.length === 0;
    const token = withoutToken ? undefined : refreshTokenOf(context, request);
    if (token !== undefined && 'denial' in token) return token;

    const revoked: Promise<boolean>[] = [];
    if (token !== undefined) revoked.push(ports.refreshTokens.revoke(token.family));
    const { claims = {} } = request.identity ?? {};
    // Another issuer's jti may be one of ours by chance, or by intent.
    if (claims['iss'] === config.issuer) revoked.push(...revokeAccess(claims));
    if ((await Promise.all(revoked)).includes(false)) return { denial: 'store_unavailable' };
    request.onEvent({ kind: 'LoggedOut', clientAddress: request.clientAddress });
    return { status: 204, headers: [...NO_STORE, ...cookies], body: '' };
  };
}

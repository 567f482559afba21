import { AMBIGUOUS } from '../filters/credentials.ts';
import type { TokenServiceConfig } from './config.ts';
import { accessCookie, REFRESH_COOKIE, refreshCookie } from './cookies.ts';
import type { TokenAnswer, TokenDenial, TokenRequest, TokenServicePorts } from './ports.ts';
import { readJsonBody, textMembers } from './read-body.ts';
import { formatRefreshToken, parseRefreshToken, type RefreshToken } from './refresh-token.ts';

const JTI_BYTES = 16;

/** RFC 6749 §5.1. */
export const NO_STORE: readonly string[] = ['cache-control', 'no-store'];
/** Of every answer with a body. */
export const JSON_HEADERS: readonly string[] = ['content-type', 'application/json', ...NO_STORE];

/** What the handlers share. */
export interface TokenContext {
  readonly config: TokenServiceConfig;
  readonly ports: TokenServicePorts;
}

/** A refresh token to hand out, with the milliseconds that its family has left. */
export interface LiveRefreshToken extends RefreshToken {
  readonly expiresInMs: number;
}

/**
 * What must hold before a body is looked at: with cookies a browser sends credentials, and takes new ones, whoever asks, so the Origin
 * must be one that the policy trusts.
 */
export function originDenial({ config }: TokenContext, request: TokenRequest): TokenDenial | null {
  return config.delivery === 'Cookie' && !request.originTrusted() ? { denial: 'origin_mismatch' } : null;
}

/** The refresh token of a request, from the cookie or the member `refresh_token`. Undefined: none that could be one of ours. */
export function refreshTokenOf(
  { config }: TokenContext,
  request: TokenRequest,
): RefreshToken | undefined | TokenDenial {
  if (config.delivery === 'Cookie') {
    const cookie = request.cookie(REFRESH_COOKIE);
    return cookie === undefined || cookie === AMBIGUOUS ? undefined : parseRefreshToken(cookie);
  }
  const body = readJsonBody(request);
  if ('denial' in body) return body;
  const members = textMembers(body.members, ['refresh_token']);
  return 'denial' in members ? members : parseRefreshToken(members.refresh_token);
}

/** Signs an access token for `claims` and answers with it and the refresh token, as the policy delivers them. */
export async function issue(
  { config, ports }: TokenContext,
  claims: Readonly<Record<string, unknown>>,
  live: LiveRefreshToken | null,
  now: number,
): Promise<TokenAnswer | TokenDenial> {
  const jti = ports.randomBytes(JTI_BYTES).toString('base64url');
  const all = { ...claims, iss: config.issuer, aud: config.audiences, jti };
  const signed = await ports.signer.sign(all, config.accessLifetimeMs, now);
  if (signed === null) return { denial: 'signing_key_missing' };
  const { token, expiresIn } = signed;
  if (config.delivery === 'Body') {
    const given = { access_token: token, token_type: 'Bearer', expires_in: expiresIn };
    const body = live === null ? given : { ...given, refresh_token: formatRefreshToken(live) };
    return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(body) };
  }
  const cookies = [...accessCookie(token, expiresIn)];
  if (live !== null)
    cookies.push(...refreshCookie(config, formatRefreshToken(live), Math.floor(live.expiresInMs / 1000)));
  return { status: 200, headers: [...JSON_HEADERS, ...cookies], body: JSON.stringify({ expires_in: expiresIn }) };
}

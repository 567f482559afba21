import type { TokenServiceConfig } from './config.ts';

/** The cookie of the access token; `__Host-` ties it to this host, to TLS and to the path `/` (RFC 6265bis §4.1.3.2). */
export const ACCESS_COOKIE = '__Host-access_token';
/** The cookie of the refresh token; `__Secure-` because its path is not `/`. */
export const REFRESH_COOKIE = '__Secure-refresh_token';

/** Set-Cookie header lines, flat, for an access token that lives `maxAge` seconds. Empty and 0 remove the cookie. */
export function accessCookie(token: string, maxAge: number): readonly string[] {
  return ['set-cookie', line(ACCESS_COOKIE, token, '/', maxAge)];
}

/** The same for a refresh token, which is sent to the refresh and logout endpoints only: one line for each. */
export function refreshCookie(
  { refresh, logout }: TokenServiceConfig,
  token: string,
  maxAge: number,
): readonly string[] {
  const paths = [refresh?.path, logout?.path].filter((path) => path !== undefined);
  // A cookie goes to what is below its path too; two with one name would be ambiguous there.
  return paths
    .filter((path, i) => !paths.some((other, j) => (other === path ? j < i : path.startsWith(`${other}/`))))
    .flatMap((path) => ['set-cookie', line(REFRESH_COOKIE, token, path, maxAge)]);
}

function line(name: string, value: string, path: string, maxAge: number): string {
  return `${name}=${value}; Path=${path}; Max-Age=${maxAge}; HttpOnly; Secure; SameSite=Strict`;
}

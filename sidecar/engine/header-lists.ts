/** Connection-level headers (RFC 9110 §7.6.1): never forwarded, in either direction. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Request headers that only we, or a proxy in front that is trusted, may set: a client's own are dropped. */
const CLIENT_FORBIDDEN: ReadonlySet<string> = new Set([
  'x-original-url',
  'x-rewrite-url',
  'x-original-host',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-real-ip',
  'x-client-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'x-request-id',
  'forwarded',
]);

/** Prefixes with the same meaning as CLIENT_FORBIDDEN. */
const CLIENT_FORBIDDEN_PREFIXES: readonly string[] = ['x-portcullis-', 'x-forwarded-', 'x-envoy-'];

/**
 * True for a name that a client may not set. An `_` stands for `-`: CGI, WSGI and others fold the two together, so that
 * `Content_Length` would be a second Content-Length to them.
 */
export function clientMayNotSet(lowerCaseName: string): boolean {
  let name = lowerCaseName;
  if (name.includes('_')) {
    name = name.replaceAll('_', '-');
    if (HOP_BY_HOP.has(name) || name === 'content-length') return true;
  }
  if (CLIENT_FORBIDDEN.has(name)) return true;
  if (name.charCodeAt(0) !== 0x78 || name.charCodeAt(1) !== 0x2d) return false; // "x-"
  for (const prefix of CLIENT_FORBIDDEN_PREFIXES) if (name.startsWith(prefix)) return true;
  return false;
}

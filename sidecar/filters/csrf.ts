import type { Exchange } from '../pipeline/exchange.ts';
import { denial, type Filter } from '../pipeline/filter.ts';

/** What clients speak to us. */
type Scheme = 'http' | 'https';

const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const ORIGIN_MISMATCH = denial('origin_mismatch', 'csrf', 'cookie identity without a trusted origin');

/**
 * A browser sends cookies whoever asks. So an identity that came from a cookie needs, on unsafe methods and WebSocket
 * handshakes, an Origin (RFC 6454 §7) that is this host or one that the policy's CORS block names.
 */
export function csrf(allowedOrigins: readonly string[], scheme: Scheme, shadow: boolean): Filter {
  const trusted = originTrust(allowedOrigins, scheme);
  return {
    name: 'csrf',
    shadow,
    onRequest: (exchange) => {
      if (!exchange.identityFromCookie || (SAFE.has(exchange.method) && !exchange.upgrade)) return undefined;
      return trusted(exchange) ? undefined : ORIGIN_MISMATCH;
    },
  };
}

/**
 * Whether a request comes from this host or one of `allowedOrigins` (where `*` means nothing), as its browser says. With `https` a page
 * of this host that came without TLS, which anybody on the way may have written, is another origin; with `http` TLS may end before us.
 */
export function originTrust(allowedOrigins: readonly string[], scheme: Scheme): (exchange: Exchange) => boolean {
  const allowed = new Set(allowedOrigins.filter((origin) => origin !== '*'));
  return (exchange) => {
    const origin = exchange.header('origin');
    if (origin === undefined) return exchange.header('sec-fetch-site') === 'same-origin';
    if (allowed.has(origin) || origin === `https://${exchange.authority}`) return true;
    return scheme === 'http' && origin === `http://${exchange.authority}`;
  };
}

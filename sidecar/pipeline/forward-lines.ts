import type { Identity } from '../../policy/evaluate/access-evaluator.ts';
import type { CheckedHead } from '../engine/check-head.ts';
import type { ClientAddress } from '../engine/client-address.ts';
import type { Exchange } from './exchange.ts';

/** Characters of a claim that may stand in a header value as they are; `%` and `,` stand for themselves nowhere. */
const UNSAFE = /[^\x21-\x24\x26-\x2b\x2d-\x7e]/gu;

/**
 * Builds the header lines that we add towards the application: X-Request-ID, X-Forwarded-For and -Proto, and the identity
 * (X-Portcullis-Subject, -Tenant, -Roles). A client's own never get this far. Claims are UTF-8; whatever is not visible ASCII,
 * and `%` and `,`, is percent-encoded, so that no claim can break a line or add a role.
 */
export function forwardLines(
  clientAddress: ClientAddress,
  identityHeaders: boolean,
  /** Of the clients' connections, where no trusted proxy says another. */
  scheme: 'http' | 'https' = 'http',
): (exchange: Exchange, peer: string, head: CheckedHead) => string {
  const protocolLine = `x-forwarded-proto: ${scheme}\r\n`;
  // By identity, which lives as long as its token is cached.
  const identityLines = new WeakMap<Identity, string>();
  return (exchange, peer, head) => {
    const trusted = clientAddress.trusts(peer);
    const chain = trusted && head.forwardedFor !== '' ? `${head.forwardedFor}, ${peer}` : peer;
    const forwarded = trusted ? head.forwardedLines : '';
    const protocol = forwarded.includes('x-forwarded-proto:') ? '' : protocolLine;
    let lines = `x-request-id: ${exchange.id}\r\nx-forwarded-for: ${chain}\r\n${protocol}${forwarded}`;
    if (exchange.upgrade) lines += 'connection: Upgrade\r\nupgrade: websocket\r\n';
    const { identity } = exchange;
    if (!identityHeaders || identity === null) return lines;
    let own = identityLines.get(identity);
    if (own === undefined) {
      own = linesOf(identity);
      identityLines.set(identity, own);
    }
    return lines + own;
  };
}

function linesOf({ user, tenant, roles }: Identity): string {
  let lines = '';
  if (user !== null) lines += `x-portcullis-subject: ${encode(user)}\r\n`;
  if (tenant !== null) lines += `x-portcullis-tenant: ${encode(tenant)}\r\n`;
  if (roles.length > 0) lines += `x-portcullis-roles: ${roles.map(encode).join(',')}\r\n`;
  return lines;
}

function encode(claim: string): string {
  return claim.replace(UNSAFE, (character) => {
    // Lone surrogates, which JSON allows and UTF-8 does not, become U+FFFD.
    const bytes = Buffer.from(character, 'utf8');
    let encoded = '';
    for (const byte of bytes) encoded += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    return encoded;
  });
}

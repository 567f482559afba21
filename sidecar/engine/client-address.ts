import { BlockList, isIP } from 'node:net';
import type { ClientIpConfig } from '../../policy/bundle/types.ts';

/** Finds the client's address behind proxies. */
export interface ClientAddress {
  /** True when this peer may speak for others (X-Forwarded-*, X-Request-ID). */
  trusts(peer: string): boolean;
  /** The address to count and log by: the socket's, or the one that the last trusted hop saw. */
  of(peer: string, forwardedFor: string): string;
}

/** A peer's address; IPv4 in its own notation when it came mapped into IPv6 (RFC 4291 §2.5.5.2). */
export function plainAddress(address = ''): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** Builds the lookup once per policy. With `trustedHops: 0` nothing that a header says is believed. */
export function compileClientAddress(config: ClientIpConfig): ClientAddress {
  const { trustedHops, trustedProxies } = config;
  if (trustedHops === 0) return { trusts: () => false, of: (peer) => peer };
  const proxies = new BlockList();
  for (const cidr of trustedProxies) {
    const [address = '', prefix] = cidr.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    proxies.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
  }
  const trusts = (peer: string): boolean =>
    trustedProxies.length === 0 || proxies.check(peer, isIP(peer) === 6 ? 'ipv6' : 'ipv4');
  return {
    trusts,
    of: (peer, forwardedFor) => {
      if (forwardedFor === '' || !trusts(peer)) return peer;
      const hops = forwardedFor.split(',');
      const candidate = withoutPort(hops[hops.length - trustedHops]?.trim() ?? '');
      return isIP(candidate) !== 0 ? candidate : peer;
    },
  };
}

/** Some load balancers write `192.0.2.1:1234` or `[2001:db8::1]:1234`: a port would make every connection a client of its own. */
function withoutPort(address: string): string {
  return /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::\d{1,5})?$/.exec(address)?.slice(1).join('') ?? address;
}

import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { parseIpv6 } from '../../policy/evaluate/address-key.ts';

/** What an address is for (IANA special-purpose registries, RFC 6890). */
export type AddressClass =
  | 'public'
  /** Where clouds hand out credentials to whoever asks. */
  | 'metadata'
  | 'loopback'
  | 'private'
  | 'shared'
  | 'unique_local'
  | 'unspecified'
  | 'link_local'
  | 'multicast'
  | 'benchmarking'
  | 'documentation'
  | 'reserved'
  /** No address at all. */
  | 'invalid';

const IPV4: readonly (readonly [AddressClass, ...ranges: string[]])[] = [
  ['metadata', '169.254.169.254/32', '169.254.170.2/32', '169.254.170.23/32', '100.100.100.200/32', '168.63.129.16/32'],
  ['unspecified', '0.0.0.0/8'],
  ['loopback', '127.0.0.0/8'],
  ['private', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
  ['shared', '100.64.0.0/10'], // RFC 6598, carriers and clusters
  ['link_local', '169.254.0.0/16'],
  ['documentation', '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'],
  ['benchmarking', '198.18.0.0/15'],
  ['multicast', '224.0.0.0/4'],
  ['reserved', '192.0.0.0/24', '192.88.99.0/24', '240.0.0.0/4'],
];

const IPV6: typeof IPV4 = [
  ['metadata', 'fd00:ec2::/32', 'fd20:ce::254/128'],
  ['unspecified', '::/128'],
  ['loopback', '::1/128'],
  ['link_local', 'fe80::/10'],
  ['unique_local', 'fc00::/7'],
  ['multicast', 'ff00::/8'],
  ['documentation', '2001:db8::/32', '3fff::/20'],
  ['benchmarking', '2001:2::/48'],
  ['reserved', '2001::/23', '2002::/16'], // IETF protocols with Teredo (RFC 4380); 6to4 (RFC 3056)
  ['public', '2000::/3'], // all that was ever given out (RFC 4291 §2.4)
];

const ipv4Table = tableOf(IPV4, 'ipv4');
const ipv6Table = tableOf(IPV6, 'ipv6');

/** What `allowPrivateAddresses` lets in: a network's own addresses, never those of a host or a cloud. */
const OWN: ReadonlySet<AddressClass> = new Set(['loopback', 'private', 'shared', 'unique_local']);

/** Whether a connection may go to an address of this class. */
export function mayConnect(found: AddressClass, allowPrivateAddresses: boolean): boolean {
  return found === 'public' || (allowPrivateAddresses && OWN.has(found));
}

/**
 * Classes an address as a resolver or a URL's host gives it; IPv4 in another notation (octal, hexadecimal, one number) is read
 * as WHATWG URL reads it. An IPv6 address that stands for an IPv4 address, mapped (RFC 4291 §2.5.5.2) or by NAT64 (RFC 6052), is of
 * that one's class; in formats that nobody uses to reach a server (IPv4-compatible, 6to4, Teredo) or whose translation is not ours
 * to know (RFC 8215) it is `reserved`, whatever is in it. `invalid`: no address.
 */
export function addressClass(address: string): AddressClass {
  if (isIPv6(address)) return ipv6Class(parseIpv6(address) ?? []);
  const ipv4 = IPV4_NOTATION.test(address) ? (URL.parse(`http://${address}/`)?.hostname ?? '') : '';
  return isIPv4(ipv4) ? lookUp(ipv4Table, ipv4, 'ipv4', 'public') : 'invalid';
}

const IPV4_NOTATION = /^[0-9a-fx.]+$/i;
const MAPPED = [0, 0, 0, 0, 0, 0xffff];
const NAT64 = [0x64, 0xff9b, 0, 0, 0, 0];

function ipv6Class(groups: readonly number[]): AddressClass {
  if ([MAPPED, NAT64].some((prefix) => prefix.every((group, index) => groups[index] === group))) {
    const [high, low] = [groups[6]!, groups[7]!];
    return lookUp(ipv4Table, `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`, 'ipv4', 'public');
  }
  return lookUp(ipv6Table, groups.map((group) => group.toString(16)).join(':'), 'ipv6', 'reserved');
}

function tableOf(rows: typeof IPV4, family: 'ipv4' | 'ipv6'): readonly (readonly [AddressClass, BlockList])[] {
  return rows.map(([name, ...ranges]) => {
    const list = new BlockList();
    for (const range of ranges) {
      const [network = '', prefix] = range.split('/');
      list.addSubnet(network, Number(prefix), family);
    }
    return [name, list];
  });
}

function lookUp(
  table: readonly (readonly [AddressClass, BlockList])[],
  address: string,
  family: 'ipv4' | 'ipv6',
  otherwise: AddressClass,
): AddressClass {
  return table.find(([, list]) => list.check(address, family))?.[0] ?? otherwise;
}

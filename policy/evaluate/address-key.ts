const MAPPED_PREFIX = [0, 0, 0, 0, 0, 0xffff];

/**
 * What an address is counted by: an IPv4 address itself, an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) as its IPv4
 * address, any other IPv6 address as its /64 in one spelling (`2001:db8:0:1::/64`), because one client holds a whole /64.
 * @param address as a socket or a checked X-Forwarded-For names it; what is no address counts as itself
 */
export function addressKey(address: string): string {
  if (!address.includes(':')) return address;
  const groups = parseIpv6(address);
  if (groups === null) return address;
  if (MAPPED_PREFIX.every((group, index) => groups[index] === group)) {
    const [high, low] = [groups[6]!, groups[7]!];
    return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`;
  }
  const prefix = groups.slice(0, 4).map((group) => group.toString(16));
  return `${prefix.join(':')}::/64`;
}

/** The eight groups of an IPv6 address, null for what is none; a zone (RFC 4007 §11) is dropped. */
export function parseIpv6(address: string): readonly number[] | null {
  const zone = address.indexOf('%');
  const halves = (zone < 0 ? address : address.slice(0, zone)).split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!);
  const tail = parseGroups(halves[1] ?? '');
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

function parseGroups(text: string): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  for (const part of text.split(':')) {
    const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(part)?.slice(1).map(Number);
    if (octets !== undefined) {
      groups.push((octets[0]! << 8) | octets[1]!, (octets[2]! << 8) | octets[3]!);
      continue;
    }
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
    groups.push(Number.parseInt(part, 16));
  }
  return groups;
}

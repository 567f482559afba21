import { isIPv6 } from 'node:net';

const MAX_NAME_LENGTH = 253;
const NAME = /^(?!\.)(?:[a-z0-9_-]{1,63}(?:\.|$))+$/;

/**
 * Brings a Host field value (RFC 9110 §7.2) into the form that rules compare: lower case, without port and without one
 * trailing dot. Null (refuse with 400) for what is no single host: an empty value, a list, userinfo, blanks,
 * percent-encoding, an empty label, a bad port, an unbracketed IPv6 address. A host that has the form already comes back
 * as the same string.
 */
export function normalizeHost(raw: string): string | null {
  const lower = raw.toLowerCase();
  if (lower.startsWith('[')) {
    const close = lower.indexOf(']');
    const address = lower.slice(1, close);
    if (close < 0 || address.includes('%') || !isIPv6(address) || !isPort(lower, close + 1)) return null;
    return lower.slice(0, close + 1);
  }
  const colon = lower.indexOf(':');
  if (colon >= 0 && !isPort(lower, colon)) return null;
  let end = colon < 0 ? lower.length : colon;
  if (lower.charCodeAt(end - 1) === 0x2e) end--;
  const name = end === lower.length ? lower : lower.slice(0, end);
  return isHostName(name) ? name : null;
}

/** Whether `name` is a lower-case host name or IPv4 address: labels of letters, digits, `-` and `_`. */
export function isHostName(name: string): boolean {
  return name.length <= MAX_NAME_LENGTH && !name.endsWith('.') && NAME.test(name);
}

/** Whether `text` from `at` on is empty or `:` and a port from 1 to 65535. */
function isPort(text: string, at: number): boolean {
  if (at === text.length) return true;
  const digits = text.length - at - 1;
  if (text.charCodeAt(at) !== 0x3a || digits < 1 || digits > 5) return false;
  let port = 0;
  for (let index = at + 1; index < text.length; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port >= 1 && port <= 65535;
}

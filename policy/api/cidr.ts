import { isIPv4, isIPv6 } from 'node:net';

/** Whether `text` is a range of addresses as kube-apiserver's CEL `isCIDR` takes it: no zone, no IPv4 inside IPv6, no leading zero. */
export function isCidr(text: string): boolean {
  const slash = text.lastIndexOf('/');
  const address = text.slice(0, slash);
  const bits = text.slice(slash + 1);
  if (slash < 0 || !/^(0|[1-9][0-9]{0,2})$/.test(bits) || /%|^::ffff:.*\./i.test(address)) return false;
  return (isIPv4(address) && Number(bits) <= 32) || (isIPv6(address) && Number(bits) <= 128);
}

import { lookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { PortcullisError } from '../../policy/errors.ts';
import { addressClass, mayConnect } from './address-class.ts';

/** Which addresses a name may lead to, and who says where it leads. */
export interface AllowedAddressesOptions {
  /** Whether addresses of private networks and the loopback are allowed. */
  readonly allowPrivateAddresses: boolean;
  /** Every address of a host. Default: the system's resolver. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

/**
 * The addresses of a URL's host, resolved once, each of them allowed; at least one. Rejects with `outbound_refused` when any is
 * not, `outbound_failed` (retry `later`) when there is none.
 */
export async function allowedAddresses(url: URL, options: AllowedAddressesOptions): Promise<readonly string[]> {
  const host = hostOf(url);
  const addresses = isIP(host) === 0 ? await resolved(url, host, options.resolve ?? systemResolver) : [host];
  for (const address of addresses) {
    const found = addressClass(address);
    if (mayConnect(found, options.allowPrivateAddresses)) continue;
    // Where a name leads inside is not everybody's to know, but this reader runs the pod.
    throw refused(url.href, `${host} leads to ${address}, which is ${found.replace('_', ' ')}`);
  }
  return addresses;
}

/** A URL's host, an IPv6 address without its brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** Answers every question of a connection with these addresses: it goes to one that was checked. */
export function pinnedLookup(addresses: readonly string[]): LookupFunction {
  const pinned = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, { all }, done) =>
    all ? done(null, pinned) : done(null, pinned[0]?.address ?? '', pinned[0]?.family ?? 0);
}

/** What may not be asked, and never will. */
export function refused(uri: string, why: string): PortcullisError {
  return new PortcullisError('outbound_refused', `${uri} refused: ${why}`);
}

/** What did not answer as it should, and may later. */
export function failed(uri: string, why: string, cause?: unknown): PortcullisError {
  return new PortcullisError('outbound_failed', `${uri} failed: ${why}`, { cause, retry: 'later' });
}

async function resolved(
  url: URL,
  host: string,
  resolve: NonNullable<AllowedAddressesOptions['resolve']>,
): Promise<readonly string[]> {
  const addresses = await resolve(host).catch((cause) => {
    throw failed(url.href, `${host} cannot be resolved`, cause);
  });
  if (addresses.length === 0) throw failed(url.href, `${host} has no address`);
  return addresses;
}

async function systemResolver(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

import type { ClientIpConfig, ConnectionSettings, StoreConfig } from '../bundle/types.ts';
import { PortcullisError } from '../errors.ts';

/** What a policy says, and whose word it is. */
export type Speaker = ConnectionSettings & { readonly namespace: string; readonly name: string };

/** What holds for all policies of one sidecar. */
export interface Connection {
  /** Where limits count; null: in memory. */
  readonly store: StoreConfig | null;
  readonly clientIp: ClientIpConfig;
}

/**
 * What holds for both policies of a sidecar: what one of them says holds for the other, too, and the operator's defaults only
 * where neither says anything. Of two stores the RateLimitPolicy's is used, as are the defaults in its bundle: it is what counts.
 * Throws PortcullisError `bundle_invalid`, naming both, where they differ in clientIP. `limits`: null where there is none.
 */
export function resolveConnection(access: Speaker, limits: Speaker | null): Connection {
  if (limits !== null && clientIpsDiffer(access.clientIp, limits.clientIp)) {
    const [ours, theirs] = [access, limits].map(({ namespace, name }) => `${namespace}/${name}`);
    throw new PortcullisError(
      'bundle_invalid',
      `AccessPolicy ${ours} and RateLimitPolicy ${theirs} differ in spec.clientIP: write the same in both, or leave it out of one`,
    );
  }
  const { defaults } = limits ?? access;
  return {
    store: limits?.store ?? access.store ?? defaults.store,
    clientIp: limits?.clientIp ?? access.clientIp ?? defaults.clientIp,
  };
}

/** Whether two policies both say how the client's address is found, and not the same; proxies may stand in any order. */
export function clientIpsDiffer(one: ClientIpConfig | null, other: ClientIpConfig | null): boolean {
  const text = ({ trustedHops, trustedProxies }: ClientIpConfig) =>
    JSON.stringify([trustedHops, trustedProxies.toSorted()]);
  return one !== null && other !== null && text(one) !== text(other);
}

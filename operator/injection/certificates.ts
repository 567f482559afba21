/** One certificate authority of ours. PEM; times in epoch milliseconds. */
export interface Authority {
  readonly certificate: string;
  readonly privateKey: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** When the last certificate that it signed expires; 0: it has signed none. */
  readonly signedUntil: number;
}

/** The certificate that webhooks are served with. PEM; times in epoch milliseconds. */
export interface Leaf {
  readonly certificate: string;
  readonly privateKey: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly dnsNames: readonly string[];
  /** Certificate of the authority that signed it. */
  readonly signer: string;
}

/** All that is kept: the authorities that the API servers are told to trust, oldest first, and what is served. */
export interface CertificateState {
  readonly authorities: readonly Authority[];
  readonly leaf: Leaf | null;
}

/** How long things last, in milliseconds. */
export interface CertificateTimes {
  readonly authorityLifeMs: number;
  /** This long before an authority ends, its successor is made. */
  readonly authorityOverlapMs: number;
  readonly leafLifeMs: number;
  /** How long the authorities have to stand in the webhook configurations until every API server is taken to know them. */
  readonly settleMs: number;
  /** Certificates begin this long before they are made, for API servers whose clock is behind. */
  readonly backdateMs: number;
  /** How often the webhook configurations are looked at. */
  readonly checkMs: number;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** An authority for a year, a certificate for a week, which is replaced when a third of it is left. */
export const CERTIFICATE_TIMES: CertificateTimes = {
  authorityLifeMs: 365 * DAY,
  authorityOverlapMs: 30 * DAY,
  leafLifeMs: 7 * DAY,
  settleMs: 60_000,
  backdateMs: HOUR,
  checkMs: 30_000,
};

/** One effect towards certificates that are always trusted; after it everything is read again. */
export type CertificateStep =
  | { readonly kind: 'AddAuthority' }
  | { readonly kind: 'IssueLeaf'; readonly signer: Authority }
  | { readonly kind: 'DropAuthorities'; readonly kept: readonly Authority[] }
  | { readonly kind: 'Publish' }
  | { readonly kind: 'Wait' };

/**
 * What to do next. `seenSince` is since when (epoch milliseconds) the webhook configurations have been seen to hold exactly
 * the authorities of `state`; null: they do not. A certificate by a new authority is served once that authority has settled
 * there, and an authority leaves once all that it signed has expired. Where nothing valid is served there is nothing to wait for.
 */
export function planCertificates(
  state: CertificateState,
  dnsNames: readonly string[],
  seenSince: number | null,
  now: number,
  times: CertificateTimes,
): CertificateStep {
  const newest = state.authorities.findLast((authority) => isValid(authority, now));
  if (newest === undefined || newest.notAfter - now < times.authorityOverlapMs) return { kind: 'AddAuthority' };
  const { leaf } = state;
  const signer = state.authorities.find(({ certificate }) => certificate === leaf?.signer);
  const settled = seenSince !== null && now - seenSince >= times.settleMs;
  const next = settled || newest === signer ? newest : outlives(signer, now + times.leafLifeMs);
  const serves =
    leaf !== null && signer !== undefined && isValid(leaf, now) && dnsNames.join() === leaf.dnsNames.join();
  if (!serves) return { kind: 'IssueLeaf', signer: next ?? newest };
  if (seenSince === null) return { kind: 'Publish' };
  const kept = state.authorities.filter((authority) => authority === newest || now < authority.signedUntil);
  if (kept.length < state.authorities.length) return { kind: 'DropAuthorities', kept };
  if (next !== null && leaf.notAfter - now < times.leafLifeMs / 3) return { kind: 'IssueLeaf', signer: next };
  return { kind: 'Wait' };
}

/** The state with a new leaf; its signer stays until the leaf has expired. */
export function withLeaf(state: CertificateState, leaf: Leaf): CertificateState {
  const authorities = state.authorities.map((authority) =>
    authority.certificate === leaf.signer
      ? { ...authority, signedUntil: Math.max(authority.signedUntil, leaf.notAfter) }
      : authority,
  );
  return { authorities, leaf };
}

/** What the API servers are told to trust: the PEMs of all authorities. */
export function authorityBundle({ authorities }: CertificateState): string {
  return authorities.map(({ certificate }) => `${certificate.trim()}\n`).join('');
}

function isValid({ notBefore, notAfter }: { notBefore: number; notAfter: number }, now: number): boolean {
  return notBefore <= now && now < notAfter;
}

function outlives(authority: Authority | undefined, time: number): Authority | null {
  return authority !== undefined && authority.notAfter > time ? authority : null;
}

/** Most entries of `SidecarStatus.notReady`. */
export const MAX_REASONS = 16;

/** Most characters of one of them. */
export const MAX_REASON_LENGTH = 300;

/** What is known of one kind of bundle: in use, and what is wrong with the newest file. */
export interface BundleState {
  readonly namespace: string;
  readonly name: string;
  /** 0: none yet. */
  readonly serial: number;
  /** SHA-256 of the file in use, hex; empty: none yet. */
  readonly hash: string;
  /** Epoch milliseconds; 0: none yet. */
  readonly loadedAt: number;
  /** Why the newest file was not taken; null when what is in use is the newest. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** What is known of the certificate that the traffic ports show. */
export interface TlsState {
  /** When the one in use ends, epoch milliseconds; 0: there is none yet. */
  readonly notAfter: number;
  /** Why the newest files were not taken; null when what is in use is the newest. */
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** The document at /status: what this process enforces. Serial and hash together are the acknowledgement of a bundle. */
export interface SidecarStatus {
  /** Unique per process start. */
  readonly uid: string;
  readonly version: string;
  readonly bundles: {
    readonly access: BundleState | null;
    readonly limits: BundleState | null;
    /** What the tokens of the access policy are signed by; null: this pod issues none. */
    readonly issuer: BundleState | null;
    /** Of policies that are only tried on every request; absent or null: there is none. */
    readonly candidateAccess?: BundleState | null;
    readonly candidateLimits?: BundleState | null;
  };
  /** Serial of each key set in use, by `namespace/name`. */
  readonly keySets: Readonly<Record<string, number>>;
  /** Absent: the traffic ports speak plain HTTP. */
  readonly tls?: TlsState;
  /** Issuers outside whose keys could not be had for twice `refresh`: seconds since they were, by URI; null: never. Absent: there is none. */
  readonly staleJwks?: Readonly<Record<string, number | null>>;
  readonly draining: boolean;
  /** What /readyz says against: at most 16 reasons of 300 characters each, in its order. */
  readonly notReady: readonly string[];
}

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

/** The document at /status: what this process enforces. Serial and hash together are the acknowledgement of a bundle. */
export interface SidecarStatus {
  /** Unique per process start. */
  readonly uid: string;
  readonly version: string;
  readonly bundles: { readonly access: BundleState | null; readonly limits: BundleState | null };
  /** Serial of each key set in use, by `namespace/name`. */
  readonly keySets: Readonly<Record<string, number>>;
  readonly draining: boolean;
  /** What /readyz says against: at most 16 reasons of 300 characters each, in its order. */
  readonly notReady: readonly string[];
}

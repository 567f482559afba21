import type { BundleState } from '../bundle-source/bundle-source.ts';

/** The document at /status: what this process enforces. Serial and hash together are the acknowledgement of a bundle. */
export interface SidecarStatus {
  /** Unique per process start. */
  readonly uid: string;
  readonly version: string;
  readonly bundles: { readonly access: BundleState | null; readonly limits: BundleState | null };
  /** Serial of each key set in use, by `namespace/name`. */
  readonly keySets: Readonly<Record<string, number>>;
  readonly draining: boolean;
}

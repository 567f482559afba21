import type { SigningKeySet } from '../api/signing-key-set.ts';
import type { KeySetOutputs } from '../keys/outputs.ts';

/** A SigningKeySet that exists, with what its keyring rendered last. */
export interface ResolvedKeySet {
  readonly resource: SigningKeySet;
  /** Null: no key has been made yet. */
  readonly outputs: Pick<KeySetOutputs, 'serial' | 'verificationKeys'> | null;
}

/** A Kubernetes Secret, values decoded. */
export interface ReferencedSecret {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
}

/** Everything that policies may refer to, already read. */
export interface References {
  readonly keySets: readonly ResolvedKeySet[];
  readonly secrets: readonly ReferencedSecret[];
  /** A redis:// or rediss:// URL that replaces the store of every policy; null: each policy's own. */
  readonly storeOverride: string | null;
}

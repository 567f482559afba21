import type { SigningKeySet } from '../api/signing-key-set.ts';
import type { ClientIpConfig } from '../bundle/types.ts';
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

/** A namespace in which policies stand. */
export interface ReferencedNamespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Everything that policies may refer to, already read. */
export interface References {
  readonly keySets: readonly ResolvedKeySet[];
  readonly secrets: readonly ReferencedSecret[];
  /** Those of the policies; what is not here may use key sets of no other namespace. */
  readonly namespaces: readonly ReferencedNamespace[];
  /** A redis:// or rediss:// URL: the store of policies that name none; null: this pod's memory. */
  readonly defaultStore: string | null;
  /** How policies that do not say find the client's address; null: the connection's own. */
  readonly defaultClientIp: ClientIpConfig | null;
  /** A redis:// or rediss:// URL that replaces the store of every policy; null: each policy's own. */
  readonly storeOverride: string | null;
}

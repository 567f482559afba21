import { LABELS } from '../api/names.ts';
import type { Path } from '../api/problem.ts';
import type { SigningKeySet } from '../api/signing-key-set.ts';
import type { ClientIpConfig } from '../bundle/types.ts';
import type { KeySetOutputs } from '../keys/outputs.ts';
import type { ReferencedConfigMap } from './find-schema.ts';
import type { Findings } from './finding.ts';

/** A SigningKeySet that exists, with what its keyring rendered last. */
export interface ResolvedKeySet {
  readonly resource: SigningKeySet;
  /** Null: no key has been made yet. `fernet`, `issuing` absent: the keys are not at hand, as where policies are only checked. */
  readonly outputs:
    | (Pick<KeySetOutputs, 'serial' | 'verificationKeys'> & Partial<Pick<KeySetOutputs, 'fernet' | 'issuing'>>)
    | null;
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
  /** Absent: none. */
  readonly configMaps?: readonly ReferencedConfigMap[];
  /** Those of the policies; what is not here may use key sets of no other namespace. */
  readonly namespaces: readonly ReferencedNamespace[];
  /** A redis:// or rediss:// URL: the store of policies that name none; null: this pod's memory. */
  readonly defaultStore: string | null;
  /** How policies that do not say find the client's address; null: the connection's own. */
  readonly defaultClientIp: ClientIpConfig | null;
  /** A redis:// or rediss:// URL that replaces the store of every policy; null: each policy's own. */
  readonly storeOverride: string | null;
}

/** Where there is nothing to refer to. */
export const NO_REFERENCES: References = {
  keySets: [],
  secrets: [],
  namespaces: [],
  defaultStore: null,
  defaultClientIp: null,
  storeOverride: null,
};

/** The Secret of this name if policies may read it; null: reported at `path`. `holds`: what it is to hold, in words. */
export function findSecret(
  name: string,
  path: Path,
  holds: string,
  namespace: string,
  { secrets }: References,
  findings: Findings,
): ReferencedSecret | null {
  const secret = secrets.find((candidate) => candidate.namespace === namespace && candidate.name === name);
  if (secret === undefined) {
    findings.error(path, `Secret ${namespace}/${name} does not exist; add it, with ${holds}`, 'RefNotFound');
    return null;
  }
  if (secret.labels[LABELS.allowReference] !== 'true') {
    findings.error(
      path,
      `Secret ${namespace}/${name} may not be read by policies; give it the label ${LABELS.allowReference}: "true"`,
      'RefNotPermitted',
    );
    return null;
  }
  if (Object.keys(secret.data).length === 0) {
    findings.error(
      path,
      `Secret ${namespace}/${name} is empty, or holds more than 192 KiB, which policies do not read; write ${holds} and nothing else`,
      'RefNotFound',
    );
    return null;
  }
  return secret;
}

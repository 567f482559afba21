import { isJwt, isSymmetric, type KeySetAlgorithm } from './algorithms.ts';
import type { KeySetOutputs } from './outputs.ts';

/** Which of the two it is; the default name of its Secret ends with it. */
export type ExportSuffix = 'jwks' | 'fernet';

/** The files that apps read of a key set. */
export interface KeySetExport {
  readonly suffix: ExportSuffix;
  /** Texts by file name. Of a Fernet set they are the secrets themselves. */
  readonly files: Readonly<Record<string, string>>;
}

/** File of the public JWK Set (RFC 7517 §5). */
export const JWKS_FILE = 'jwks.json';

/** File of the MultiFernet list: one key a line, the one that encrypts first. */
export const FERNET_KEYS_FILE = 'keys';

/** File of the Fernet key that encrypts, without a newline, for an environment variable. */
export const FERNET_PRIMARY_FILE = 'primary';

/** What apps read of outputs; null of an HS* set, whose keys are for sidecars only. */
export function exportOf({ jwks, fernet }: Pick<KeySetOutputs, 'jwks' | 'fernet'>): KeySetExport | null {
  if (jwks !== null) return { suffix: 'jwks', files: { [JWKS_FILE]: `${JSON.stringify(jwks, null, 2)}\n` } };
  const [primary] = fernet ?? [];
  if (fernet === null || primary === undefined) return null;
  const keys = fernet.map(({ key }) => `${key}\n`).join('');
  return { suffix: 'fernet', files: { [FERNET_KEYS_FILE]: keys, [FERNET_PRIMARY_FILE]: primary.key } };
}

/** What apps read of a key set of this algorithm; null: nothing. */
export function exportSuffixOf(algorithm: KeySetAlgorithm): ExportSuffix | null {
  if (!isJwt(algorithm)) return 'fernet';
  return isSymmetric(algorithm) ? null : 'jwks';
}

/** Name of the Secret with it, where the key set's spec names none. */
export function defaultExportName(keySet: string, suffix: ExportSuffix): string {
  return `${keySet}-${suffix}`;
}

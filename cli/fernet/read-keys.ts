import { open } from 'node:fs/promises';
import { PortcullisError } from '../../policy/errors.ts';
import { type FernetKey, parseFernetKeys } from '../../policy/fernet/fernet-key.ts';
import type { KubeValues } from '../kube/kube-flag-names.ts';

/** Where the keys are. */
export type KeySource =
  | { readonly kind: 'File'; readonly path: string }
  /** `name` in the namespace of the flags, or `namespace/name`. */
  | { readonly kind: 'Secret'; readonly name: string; readonly flags: KubeValues };

/** The keys, primary first. Throws `config_invalid`, which never holds a key, and KubeError when the API server refuses. */
export async function readKeys(source: KeySource, warn: (message: string) => void): Promise<readonly FernetKey[]> {
  const text = await (source.kind === 'File' ? readKeyFile(source.path, warn) : readSecret(source));
  const keys = parseFernetKeys(text);
  if (keys.ok) return keys.value;
  throw new PortcullisError('config_invalid', `${source.kind === 'File' ? source.path : source.name}: ${keys.message}`);
}

async function readKeyFile(path: string, warn: (message: string) => void): Promise<string> {
  try {
    await using file = await open(path);
    const text = await file.readFile('utf8');
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0');
      warn(`others than you may open ${path}, which holds keys (mode ${octal}); chmod 600 ${path}`);
    }
    return text;
  } catch (cause) {
    throw new PortcullisError('config_invalid', `--key-file cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Loaded when used: the client of a cluster takes longer to load than a token to make. */
async function readSecret({ flags, name }: Extract<KeySource, { kind: 'Secret' }>): Promise<string> {
  return (await import('./read-secret-keys.ts')).readSecretKeys(flags, name);
}

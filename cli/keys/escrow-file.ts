import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { PortcullisError } from '../../policy/errors.ts';
import type { Escrow } from '../../policy/keys/escrow.ts';
import { decodeEscrow } from '../../policy/keys/escrow-document.ts';

/**
 * The escrow in a file that holds the Secret of this name as `kubectl get secret -o yaml` or `-o json` prints it, alone or in a
 * list. Throws `config_invalid`, or `keyring_invalid` when what it holds is damaged.
 */
export async function readEscrowFile(path: string, secretName: string): Promise<Escrow> {
  let document: unknown;
  try {
    document = parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw refused(path, `cannot be read: ${(cause as Error).message.split('\n')[0]}`, cause);
  }
  const objects = documentsIn(document);
  const found = objects.find(({ kind, metadata }) => kind === 'Secret' && metadata?.name === secretName);
  if (found === undefined) {
    const names = objects.map(({ kind, metadata }) => `${kind} ${metadata?.name}`).join(', ');
    throw refused(path, `holds no Secret ${secretName}, but ${names || 'nothing'}`);
  }
  const files = Object.entries(found.data ?? {}).map(([name, value]) => [
    name,
    Buffer.from(String(value), 'base64').toString('utf8'),
  ]);
  try {
    return decodeEscrow(Object.fromEntries(files));
  } catch (error) {
    if (!(error instanceof PortcullisError)) throw error;
    throw new PortcullisError('keyring_invalid', `${path}: Secret ${secretName} is damaged: ${error.message}`);
  }
}

/** As much of any object as is looked at. */
interface Printed {
  readonly kind?: unknown;
  readonly metadata?: { readonly name?: unknown } | null;
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly items?: unknown;
}

function documentsIn(document: unknown): readonly Printed[] {
  const isObject = (value: unknown): value is Printed => typeof value === 'object' && value !== null;
  if (!isObject(document)) return [];
  return (Array.isArray(document.items) ? document.items : [document]).filter(isObject);
}

function refused(path: string, what: string, cause?: unknown): PortcullisError {
  const how = 'give the escrow Secret as kubectl get secret -o yaml prints it';
  return new PortcullisError('config_invalid', `${path} ${what}; ${how}`, { cause });
}

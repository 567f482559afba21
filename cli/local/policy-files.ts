import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PortcullisError } from '../../policy/errors.ts';

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** One file of the policy directory. */
export interface PolicyFile {
  /** Its path as the user would write it. */
  readonly file: string;
  readonly text: string;
}

/**
 * Reads every *.yaml and *.yml of a directory, subdirectories and hidden files apart, in the order of their names. Throws
 * config_invalid when the directory or one of them cannot be read.
 */
export async function readPolicyFiles(directory: string): Promise<readonly PolicyFile[]> {
  try {
    const names = (await readdir(directory)).filter((name) => /\.ya?ml$/.test(name) && !name.startsWith('.'));
    return await Promise.all(names.sort().map((name) => readPolicyFile(join(directory, name))));
  } catch (cause) {
    if (cause instanceof PortcullisError) throw cause;
    throw new PortcullisError('config_invalid', `policies cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Reads one file. Throws config_invalid when it is too large, and the system's error when it cannot be read. */
export async function readPolicyFile(file: string): Promise<PolicyFile> {
  const text = await readFile(file, 'utf8');
  if (text.length > MAX_FILE_BYTES) {
    throw new PortcullisError('config_invalid', `${file} is larger than ${MAX_FILE_BYTES} bytes; split it`);
  }
  return { file, text };
}

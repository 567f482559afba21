import { readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { exportOf, FERNET_KEYS_FILE, FERNET_PRIMARY_FILE, JWKS_FILE } from '../../policy/keys/exports.ts';
import type { KeySetOutputs } from '../../policy/keys/outputs.ts';
import { ignore } from './ignore.ts';
import { replaceFile } from './replace-file.ts';

/** File of the serial that the others are of. */
const SERIAL_FILE = 'serial';

/** Every name that a file for apps may have; others in the directory are the user's. */
const NAMES = [JWKS_FILE, FERNET_KEYS_FILE, FERNET_PRIMARY_FILE, SERIAL_FILE];

/** What the files for apps are to be, by name. */
export function exportedFilesOf(outputs: KeySetOutputs | null): Readonly<Record<string, string>> {
  const wanted = outputs && exportOf(outputs);
  return wanted === null ? {} : { ...wanted.files, [SERIAL_FILE]: `${outputs?.serial}\n` };
}

/** The texts of a directory's files for apps, by name. */
export async function readExportedFiles(directory: string): Promise<Readonly<Record<string, string>>> {
  const texts = await Promise.all(NAMES.map((name) => readFile(join(directory, name), 'utf8').catch(ignore('ENOENT'))));
  return Object.fromEntries(NAMES.flatMap((name, index) => (texts[index] === undefined ? [] : [[name, texts[index]]])));
}

/** Writes a directory's files for apps, each at once and whole, and removes those that are not among `files`. */
export async function writeExportedFiles(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await replaceFile(join(directory, name), text);
  for (const name of NAMES) {
    if (!Object.hasOwn(files, name)) await unlink(join(directory, name)).catch(ignore('ENOENT'));
  }
}

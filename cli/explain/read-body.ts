import { readFileSync } from 'node:fs';
import { MAX_EXPLAINED_BODY } from '../../sidecar/explain/explanation.ts';

/** The body of a request that nobody sends, from a file: one character an octet. Throws an Error that says why it is of no use. */
export function readBodyFile(file: string): string {
  const bytes = readFileSync(file);
  if (bytes.length > MAX_EXPLAINED_BODY) {
    throw new Error(`${file} has ${bytes.length} bytes; bodies of up to ${MAX_EXPLAINED_BODY} are explained`);
  }
  return bytes.toString('latin1');
}

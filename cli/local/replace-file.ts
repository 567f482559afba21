import { mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

let temporaryFiles = 0;

/** Writes a file of mode 0600 in a directory of 0700, made if need be. A reader sees the old file or the new one, whole. */
export async function replaceFile(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.${temporaryFiles++}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

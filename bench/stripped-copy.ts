import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['policy', 'runtime', 'sidecar'];
const SERVER = 'bench/portcullis-server.ts';

/**
 * Copies the sidecar as JavaScript into `directory` and returns the path of the server's entry. An image runs
 * JavaScript too: stripping types at start takes Node tens of megabytes and part of a second.
 */
export function copyStripped(directory: string): string {
  for (const folder of FOLDERS) {
    for (const file of readdirSync(join(REPOSITORY, folder), { recursive: true, encoding: 'utf8' })) {
      if (file.endsWith('.ts') && !file.endsWith('.test.ts')) strip(join(folder, file), directory);
    }
  }
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  symlinkSync(join(REPOSITORY, 'node_modules'), join(directory, 'node_modules'));
  return strip(SERVER, directory);
}

function strip(file: string, directory: string): string {
  const target = join(directory, javaScript(file));
  mkdirSync(dirname(target), { recursive: true });
  const source = stripTypeScriptTypes(readFileSync(join(REPOSITORY, file), 'utf8'));
  writeFileSync(target, source.replaceAll(/ from '\.[^']+\.ts'/g, javaScript));
  return target;
}

function javaScript(name: string): string {
  return name.replace(/\.ts(?='?$)/, '.js');
}

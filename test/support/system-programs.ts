import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs by name, each with the Debian package that brings it. */
export type SystemPrograms = Readonly<Record<string, string>>;

const FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
const INSTALL_TIMEOUT_MS = 600_000;

/**
 * Why some of these programs cannot be had here, naming what to install, or null. As root with apt-get they are installed
 * when there are some missing.
 */
export function missingPrograms(programs: SystemPrograms): string | null {
  const missing = absent(programs);
  if (missing.length === 0) return null;
  const packages = [...new Set(missing.map((name) => programs[name] ?? name))].join(' ');
  const install = `apt-get update && apt-get install -y --no-install-recommends ${packages}`;
  if (process.getuid?.() === 0 && found('apt-get')) {
    console.error(`${missing.join(', ')} not found; running: ${install}`);
    // RUNLEVEL keeps Debian from starting a service on its usual port.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const { status } = spawnSync('sh', ['-c', install], { stdio: 'ignore', timeout: INSTALL_TIMEOUT_MS, env });
    if (status !== 0) console.error('installing failed');
  }
  return absent(programs).length === 0 ? null : `no ${absent(programs).join(', ')} here; install with: ${install}`;
}

function absent(programs: SystemPrograms): string[] {
  return Object.keys(programs).filter((name) => !found(name));
}

function found(program: string): boolean {
  const folders = program.startsWith('/') ? [''] : [...(process.env['PATH'] ?? '').split(delimiter), ...FOLDERS];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

import { spawnSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';

/** Where and with what a run was made. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly loadAverage: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** Reads the machine and asks the programs for their versions. */
export function describeMachine(envoyBinary: string | null): Machine {
  const versions: Record<string, string> = { Node: process.version };
  const ask = (name: string, command: string, args: readonly string[], pattern: RegExp) => {
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    const version = pattern.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[1];
    if (version !== undefined) versions[name] = version;
  };
  ask('HAProxy', 'haproxy', ['-v'], /version (\d+\.\d+\.\d+)/);
  ask('Redis', 'redis-server', ['--version'], /v=([\d.]+)/);
  ask('wrk', 'wrk', ['-v'], /wrk (\S+)/);
  if (envoyBinary !== null) ask('Envoy', envoyBinary, ['--version'], /\/(\d+\.\d+\.\d+)\//);
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    loadAverage: loadavg()[0] ?? 0,
    versions,
  };
}

/** One paragraph. */
export function machineText(machine: Machine): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, load average ${machine.loadAverage.toFixed(1)} at the start. ${versions.join(', ')}.`;
}

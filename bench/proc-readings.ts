import { readFileSync } from 'node:fs';

/** The core that the proxy runs on. */
export const PROXY_CORE = 0;
/** The core that load, backend and Redis run on. */
export const LOAD_CORE = 1;

/** Ticks of /proc a second (USER_HZ, 100 on every Linux that Node runs on). */
export const TICKS_PER_SECOND = 100;

/** What one core did since boot, in ticks. */
export interface CoreTicks {
  /** user, nice, system, irq, softirq. */
  readonly busy: number;
  /** Taken away by the hypervisor. */
  readonly steal: number;
}

/** User and system time of a process, all its threads, in ticks (proc(5), /proc/PID/stat). */
export function processTicks(pid: number): number {
  const fields = statFields(pid);
  return Number(fields[11]) + Number(fields[12]);
}

/** User and system time of this process's children that have ended, in ticks. */
export function endedChildrenTicks(): number {
  const fields = statFields('self');
  return Number(fields[13]) + Number(fields[14]);
}

/** Throws when the machine has no such core. */
export function coreTicks(core: number): CoreTicks {
  const line = readFileSync('/proc/stat', 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`cpu${core} `));
  if (line === undefined) throw new Error(`this machine has no core ${core}; two cores are needed`);
  const [user, nice, system, , , irq, softirq, steal] = line.split(' ').slice(1).map(Number) as number[];
  return {
    busy: (user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0),
    steal: steal ?? 0,
  };
}

/** Memory of a process that is in RAM (VmRSS), in MiB. */
export function residentMiB(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes ?? Number.NaN) / 1024;
}

/** The fields after the command's name, which may hold blanks: index 0 is the state. */
function statFields(pid: number | 'self'): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

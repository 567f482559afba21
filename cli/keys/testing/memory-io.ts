import type { CommandIo } from '../../token/run-token.ts';

/** Keeps what a command writes. */
export interface MemoryIo extends CommandIo {
  readonly out: () => string;
  readonly err: () => string;
}

/** A command's surroundings in memory. */
export function memoryIo(now: () => number): MemoryIo {
  const [out, err]: [string[], string[]] = [[], []];
  return {
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    now,
    out: () => out.join(''),
    err: () => err.join(''),
  };
}

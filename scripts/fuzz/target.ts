import type { Random } from '../../policy/evaluate/testing/random-below.ts';

/** Something that reads what strangers write. */
export interface Target {
  /** Longest time that one input may take, in milliseconds of CPU; default 50. */
  readonly maxMs?: number;
  /** A new input, valid or nearly so; the same for the same random numbers. */
  next(random: Random): string;
  /** Feeds it to the code and asserts what must hold of every input. Returns what became of it, from a short list. */
  check(input: string): string;
}

/** What became of the inputs of one run. */
export interface FuzzReport {
  readonly executions: number;
  readonly seed: number;
  /** How many had each outcome. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Longest time that one input took, and again when tried again, in milliseconds. */
  readonly slowestMs: number;
}

const MAX_MS = 50;
/** An input that took longer is tried again: code that runs for the first time is slow, and the machine may be busy. */
const ATTEMPTS = 5;

/** Feeds `executions` inputs to a target. Throws, with seed, run and input, at the first that breaks what must hold or takes too long. */
export function fuzz(target: Target, executions: number, seed: number, random: Random): FuzzReport {
  const outcomes: Record<string, number> = {};
  const { maxMs = MAX_MS } = target;
  let slowestMs = 0;
  for (let run = 0; run < executions; run++) {
    const input = target.next(random);
    try {
      const startedAt = performance.now();
      const outcome = target.check(input);
      let took = performance.now() - startedAt;
      for (let attempt = 1; took > maxMs && attempt < ATTEMPTS; attempt++) took = Math.min(took, cpuMs(target, input));
      if (took > maxMs) throw new Error(`takes ${Math.round(took)} ms`);
      if (took > slowestMs) slowestMs = took;
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    } catch (cause) {
      throw new Error(`seed ${seed}, run ${run}: ${JSON.stringify(input)}`, { cause });
    }
  }
  return { executions, seed, outcomes, slowestMs };
}

function cpuMs(target: Target, input: string): number {
  const before = process.threadCpuUsage();
  target.check(input);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

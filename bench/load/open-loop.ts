import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Children } from '../children.ts';
import type { LoadResult } from '../cpu.ts';
import { LOAD_CORE } from '../proc-readings.ts';

const SOURCE = fileURLToPath(new URL('open-loop.c', import.meta.url));

/** A load whose requests arrive at random at a fixed mean rate, whether or not the last ones are answered. */
export interface OpenLoop {
  readonly port: number;
  /** File of tokens, one a line, sent in turn. */
  readonly tokens: string;
  readonly connections: number;
  readonly requestsPerSecond: number;
  readonly seconds: number;
  /** Makes the arrivals repeatable. */
  readonly seed: number;
}

/** Latencies in microseconds. */
export interface OpenLoopResult extends LoadResult {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** How late the generator itself was at the 99th percentile; not part of the latencies. */
  readonly lag99: number;
}

/** Compiles the generator with gcc into `directory` and returns its path. */
export async function compileOpenLoop(children: Children, directory: string): Promise<string> {
  const binary = join(directory, 'open-loop');
  await children.run(LOAD_CORE, 'gcc', ['-O2', '-Wall', '-o', binary, SOURCE, '-lm']);
  return binary;
}

/** Runs the generator on the load's core, after one second of warm-up that is not counted in the latencies. */
export async function runOpenLoop(children: Children, binary: string, load: OpenLoop): Promise<OpenLoopResult> {
  const { port, requestsPerSecond, seconds, connections, tokens, seed } = load;
  const args = [port, requestsPerSecond, seconds, 1, connections, tokens, seed].map(String);
  return JSON.parse(await children.run(LOAD_CORE, binary, args)) as OpenLoopResult;
}

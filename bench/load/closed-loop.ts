import { fileURLToPath } from 'node:url';
import type { Children } from '../children.ts';
import type { LoadResult } from '../cpu.ts';
import { LOAD_CORE } from '../proc-readings.ts';

const SCRIPT = fileURLToPath(new URL('requests.lua', import.meta.url));

/** A load of wrk: every connection sends its next request when the last one is answered. */
export interface ClosedLoop {
  readonly port: number;
  /** File of tokens, one a line, sent in turn. */
  readonly tokens: string;
  /** File of a JSON body: POST and not GET. */
  readonly body?: string;
  readonly connections: number;
  /** Whole seconds. */
  readonly seconds: number;
}

/** Runs wrk on the load's core. Rejects when wrk fails or prints something else than expected. */
export async function runClosedLoop(children: Children, load: ClosedLoop): Promise<LoadResult> {
  const output = await children.run(LOAD_CORE, 'wrk', [
    '-t1',
    `-c${load.connections}`,
    `-d${load.seconds}s`,
    '-s',
    SCRIPT,
    `http://127.0.0.1:${load.port}`,
    '--',
    load.tokens,
    ...(load.body === undefined ? [] : [load.body]),
  ]);
  const requests = /(\d+) requests in/.exec(output)?.[1];
  if (requests === undefined) throw new Error(`wrk printed no count of requests: ${output.trim()}`);
  const notOk = Number(/Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? 0);
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)?.slice(1) ?? [];
  return { requests: Number(requests), failed: sockets.reduce((sum, count) => sum + Number(count), notOk) };
}

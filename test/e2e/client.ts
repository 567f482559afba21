import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Cluster } from '../cluster/cluster.ts';
import type { Burst, Command, Dialled, LoadReport, LoadStarted, Reply, Requested, Ticked } from './commands.ts';

/** A client inside the cluster's network: where it stands every pod and Service is reached by its address. */
export interface Client {
  request(options: Omit<Requested, 'do'>): Promise<Reply>;
  burst(options: Omit<Burst, 'do'>): Promise<readonly Reply[]>;
  dial(options: Omit<Dialled, 'do'>): Promise<'open' | 'refused' | 'timeout'>;
  ticks(
    options: Omit<Ticked, 'do'>,
  ): Promise<{ readonly messages: number; readonly status: number; readonly closed: number }>;
  /** Starts steady requests; ended and reported by `stop`. */
  load(options: Omit<LoadStarted, 'do'>): Promise<{
    use(headers: Readonly<Record<string, string>>): Promise<void>;
    stop(): Promise<LoadReport>;
  }>;
  close(): void;
}

/** Starts the client's process in the node's network namespace. */
export function startClient(cluster: Cluster): Client {
  const [program = '', ...enter] = cluster.enter;
  const child = spawn(program, [...enter, process.execPath, join(import.meta.dirname, 'agent.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: cluster.env,
  });
  const waiting = new Map<number, (answer: unknown) => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, answer } = JSON.parse(line) as { id: number; answer: unknown };
    waiting.get(id)?.(answer);
    waiting.delete(id);
  });
  let next = 0;
  const ask = <Answer>(command: Command): Promise<Answer> =>
    new Promise((resolve, reject) => {
      if (child.exitCode !== null) return reject(new Error(`the client ended with code ${child.exitCode}`));
      const id = next++;
      waiting.set(id, (answer) => resolve(answer as Answer));
      child.stdin.write(`${JSON.stringify({ id, command })}\n`);
    });
  return {
    request: (options) => ask({ do: 'request', ...options }),
    burst: (options) => ask({ do: 'burst', ...options }),
    dial: async (options) => (await ask<{ result: 'open' | 'refused' | 'timeout' }>({ do: 'dial', ...options })).result,
    ticks: (options) => ask({ do: 'ticks', ...options }),
    load: async (options) => {
      const { name } = options;
      await ask({ do: 'load', ...options });
      return {
        use: async (headers) => void (await ask({ do: 'useHeaders', name, headers })),
        stop: () => ask({ do: 'stopLoad', name }),
      };
    },
    close: () => child.stdin.end(),
  };
}

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from './children.ts';
import { freePort, type Lab } from './lab.ts';
import { LOAD_CORE } from './proc-readings.ts';

/** A Redis of this run, without persistence. */
export interface Redis {
  readonly child: Child;
  readonly url: string;
  /** Scripts run since its start (EVALSHA). */
  scriptCalls(): Promise<number>;
}

/** Starts Redis on the load's core. */
export async function startRedis(lab: Lab): Promise<Redis> {
  const port = await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = lab.children.start('redis', LOAD_CORE, 'redis-server', [...options, '--dir', lab.scratch]);
  const scriptCalls = () => countScriptCalls(port);
  while ((await scriptCalls().catch(() => null)) === null) {
    child.assertRunning();
    await sleep(20);
  }
  return { child, url: `redis://127.0.0.1:${port}`, scriptCalls };
}

function countScriptCalls(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.end('INFO commandstats\r\nQUIT\r\n'));
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(Number(/cmdstat_evalsha:calls=(\d+)/.exec(answer)?.[1] ?? 0)));
  });
}

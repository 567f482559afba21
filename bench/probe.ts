import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from './children.ts';

const READY_WITHIN_MS = 15_000;
const POLL_MS = 2;

/** A GET on 127.0.0.1. */
export interface Probe {
  readonly port: number;
  readonly path: string;
  readonly token?: string;
}

/** The status of the answer; 0 when there was none. */
export function statusOf({ port, path, token }: Probe): Promise<number> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path, headers, agent: false, timeout: 2_000 }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode ?? 0));
      answer.once('error', () => resolve(0));
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(0));
  });
}

/** Asks until the answer is 200; milliseconds since the process was started. Rejects when it stops, or after 15 s. */
export async function untilReady(child: Child, probe: Probe): Promise<number> {
  while ((await statusOf(probe)) !== 200) {
    child.assertRunning();
    if (performance.now() - child.startedAt > READY_WITHIN_MS) {
      throw new Error(`${child.name} was not ready within ${READY_WITHIN_MS / 1_000} s`);
    }
    await sleep(POLL_MS);
  }
  return performance.now() - child.startedAt;
}

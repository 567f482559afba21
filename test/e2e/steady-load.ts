import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from './client.ts';
import type { LoadReport } from './commands.ts';

/** Steady GETs, as many a second over new connections as over kept ones. */
export interface SteadyLoad {
  readonly client: Client;
  readonly url: string;
  readonly perSecond: number;
  /** Asked again every 3 s: tokens are short-lived. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
}

const REFRESH_MS = 3_000;

/** The load while `work` goes on. Every answer is 200, or it throws with what else there was; gives a line with the counts. */
export async function withoutFailure(
  { client, url, perSecond, headers }: SteadyLoad,
  work: () => Promise<void>,
): Promise<string> {
  const target = { url, perSecond, headers: await headers() };
  const loads = [
    await client.load({ name: 'new connections', ...target, keepAlive: false }),
    await client.load({ name: 'kept connections', ...target, keepAlive: true }),
  ];
  let over = false;
  const refreshing = (async () => {
    while (!over) {
      await sleep(REFRESH_MS);
      const fresh = await headers();
      for (const load of loads) await load.use(fresh);
    }
  })();
  try {
    await work();
  } finally {
    over = true;
    await refreshing;
  }
  const reports: LoadReport[] = [];
  for (const load of loads) reports.push(await load.stop());
  for (const report of reports) assert.equal(failures(report), '');
  return reports.map(({ sent, slowestMs }) => `${sent} requests, 0 failed, slowest ${slowestMs} ms`).join('; ');
}

function failures({ sent, statuses, errors }: LoadReport): string {
  const failed = sent - (statuses['200'] ?? 0);
  return failed === 0 ? '' : `${failed} of ${sent} failed: ${JSON.stringify(statuses)}\n${errors.join('\n')}`;
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterUnion } from 'rate-limiter-flexible';
import type { Demand, LimitPlan } from '../../sidecar/stores/limiter-store.ts';
import type { RedisStore } from '../../sidecar/stores/redis-store.ts';
import type { Table } from '../report.ts';
import { withRedis } from './redis-in-use.ts';

const LIMIT = 100;
const WINDOW_MS = 2000;

interface Limiter {
  readonly name: string;
  /** True: admitted. */
  readonly consume: () => Promise<boolean>;
  /** Requests that a limit has counted which another limit of the same request refused. */
  readonly chargedInVain: () => Promise<number>;
}

/** What is admitted around a boundary of windows, and whether a denied request is charged to the limits that had room. */
export async function exactnessTable(_requests: number, say: (line: string) => void): Promise<Table> {
  return withRedis(async ({ store, client }) => {
    const rows: string[][] = [];
    for (const { name, consume, chargedInVain } of limiters(store, client)) {
      const most = await acrossABoundary(consume);
      rows.push([name, (most / LIMIT).toFixed(2), String(await chargedInVain())]);
      say(`exactness: ${name}`);
    }
    return {
      title: 'Exactness',
      caption: `Limit ${LIMIT} in ${WINDOW_MS} ms. Most admitted in a window's length, as a share of the limit: one request, then all that it takes just before and just after the window that it began has ended. Charged in vain: of 50 requests under two limits, the second of which has room for 1, those counted by the first although they were refused.`,
      columns: ['limiter', 'admitted / limit', 'charged in vain'],
      rows,
    };
  });
}

function limiters(store: RedisStore, client: Redis): readonly Limiter[] {
  const demand = (name: string, algorithm: LimitPlan['algorithm'], limit: number): Demand => ({
    plan: { name, algorithm, limit, windowMs: WINDOW_MS, burst: 0, onStoreFailure: 'Deny' },
    key: name,
  });
  const admitted = async (...demands: Demand[]) => (await store.consume(demands, Date.now())).admitted;
  const ours = (algorithm: 'SlidingWindow' | 'FixedWindow'): Limiter => ({
    name: `ours, ${algorithm}`,
    consume: () => admitted(demand(`edge ${algorithm}`, algorithm, LIMIT)),
    chargedInVain: async () => {
      const wide = demand(`wide ${algorithm}`, algorithm, LIMIT);
      let through = 0;
      for (let i = 0; i < 50; i++) if (await admitted(wide, demand(`narrow ${algorithm}`, algorithm, 1))) through++;
      const { quotas } = await store.consume([wide], Date.now());
      return LIMIT - quotas[0]!.remaining - 1 - through;
    },
  });
  const options = { storeClient: client, duration: WINDOW_MS / 1000 };
  const edge = new RateLimiterRedis({ ...options, keyPrefix: 'edge', points: LIMIT });
  const wide = new RateLimiterRedis({ ...options, keyPrefix: 'wide', points: LIMIT });
  const narrow = new RateLimiterRedis({ ...options, keyPrefix: 'narrow', points: 1 });
  const both = new RateLimiterUnion(wide, narrow);
  const passes = (consumed: Promise<unknown>) => consumed.then(() => true).catch(() => false);
  const theirs: Limiter = {
    name: 'RateLimiterRedis',
    consume: () => passes(edge.consume('k')),
    chargedInVain: async () => {
      let through = 0;
      for (let i = 0; i < 50; i++) if (await passes(both.consume('k'))) through++;
      return ((await wide.get('k'))?.consumedPoints ?? 0) - through;
    },
  };
  return [theirs, ours('FixedWindow'), ours('SlidingWindow')];
}

/** The most that was admitted in any time of a window's length. */
async function acrossABoundary(consume: () => Promise<boolean>): Promise<number> {
  const times: number[] = [];
  const ask = async (): Promise<void> => {
    if (await consume()) times.push(performance.now());
  };
  await sleep(WINDOW_MS - (Date.now() % WINDOW_MS) + 5);
  const start = performance.now();
  await ask();
  for (const at of [WINDOW_MS - 150, WINDOW_MS + 50]) {
    await sleep(Math.max(0, start + at - performance.now()));
    for (let i = 0; i < LIMIT; i++) await ask();
  }
  return Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + WINDOW_MS - 1).length));
}

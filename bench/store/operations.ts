import type { Redis } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import type { LimitPlan } from '../../sidecar/stores/limiter-store.ts';
import type { RedisStore } from '../../sidecar/stores/redis-store.ts';
import { withAdmin } from '../../test/redis/redis-clients.ts';
import type { RedisServer } from '../../test/redis/redis-server.ts';
import { ratio, type Table } from '../report.ts';
import { withRedis } from './redis-in-use.ts';

const ROUNDS = 3;
const CONCURRENCY = 16;
const MANY_KEYS = 10_000;
/** Never reached. */
const ENOUGH = 100_000_000;
/** Reached at once. */
const FEW = 100;

interface Subject {
  readonly name: string;
  readonly keys: number;
  /** Whose figures the ratios are of. */
  readonly beside: string;
  consume(key: string): unknown;
}

interface Reading {
  readonly calls: number;
  readonly redisMicroseconds: number;
  readonly clientMicroseconds: number;
}

/** What a request costs here and in Redis, admitted under a hot key and under many, and denied. */
export async function operationsTable(requests: number, say: (line: string) => void): Promise<Table> {
  return withRedis(async ({ server, store, client }) => {
    const subjects = makeSubjects(store, client);
    const readings = new Map<Subject, Reading[]>(subjects.map((subject) => [subject, []]));
    for (let round = 0; round <= ROUNDS; round++) {
      for (const subject of subjects) {
        const reading = await measure(server, subject, requests);
        // The first round warms up.
        if (round > 0) readings.get(subject)?.push(reading);
      }
      say(`operations: round ${round} of ${ROUNDS}`);
    }
    return report(readings, requests);
  });
}

function makeSubjects(store: RedisStore, client: Redis): readonly Subject[] {
  const ours = (name: string, plan: Partial<LimitPlan>) => {
    const whole: LimitPlan = {
      name,
      algorithm: 'SlidingWindow',
      limit: ENOUGH,
      windowMs: 60_000,
      burst: 0,
      onStoreFailure: 'Deny',
      ...plan,
    };
    return (key: string) => store.consume([{ plan: whole, key: `${name} ${key}` }], Date.now());
  };
  const theirs = (keyPrefix: string, points: number) => {
    const limiter = new RateLimiterRedis({ storeClient: client, keyPrefix, points, duration: 60 });
    return (key: string) => limiter.consume(key).catch(() => false);
  };
  // A window of less than 60 ms is never leased.
  const single = { windowMs: 59 };
  const flexible = 'RateLimiterRedis';
  return [
    { name: `${flexible}, a hot key`, keys: 1, beside: '', consume: theirs('hot', ENOUGH) },
    { name: 'ours, a hot key, no leases', keys: 1, beside: `${flexible}, a hot key`, consume: ours('hot', single) },
    { name: 'ours, a hot key, leases', keys: 1, beside: `${flexible}, a hot key`, consume: ours('leased', {}) },
    { name: `${flexible}, 10,000 keys`, keys: MANY_KEYS, beside: '', consume: theirs('many', ENOUGH) },
    {
      name: 'ours, 10,000 keys, no leases',
      keys: MANY_KEYS,
      beside: `${flexible}, 10,000 keys`,
      consume: ours('many', single),
    },
    {
      name: 'ours, 10,000 keys, leases',
      keys: MANY_KEYS,
      beside: `${flexible}, 10,000 keys`,
      consume: ours('many leased', {}),
    },
    { name: `${flexible}, a key that is denied`, keys: 1, beside: '', consume: theirs('denied', FEW) },
    {
      name: 'ours, a key that is denied',
      keys: 1,
      beside: `${flexible}, a key that is denied`,
      consume: ours('denied', { limit: FEW, windowMs: 3_600_000 }),
    },
  ];
}

async function measure(server: RedisServer, { keys, consume }: Subject, requests: number): Promise<Reading> {
  return withAdmin(server, async (admin) => {
    await admin.config('RESETSTAT');
    const before = process.cpuUsage();
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < requests) {
        const answer = consume(`k${(next++ * 7919) % keys}`);
        if (answer instanceof Promise) await answer;
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    const { user, system } = process.cpuUsage(before);
    const stats = await admin.info('commandstats');
    const [, calls = '0', microseconds = '0'] = /cmdstat_evalsha:calls=(\d+),usec=(\d+)/.exec(stats) ?? [];
    return {
      calls: Number(calls) / requests,
      redisMicroseconds: Number(microseconds) / requests,
      clientMicroseconds: (user + system) / requests,
    };
  });
}

function report(readings: ReadonlyMap<Subject, readonly Reading[]>, requests: number): Table {
  const least = (of: readonly Reading[], key: keyof Reading): number => Math.min(...of.map((reading) => reading[key]));
  const byName = new Map([...readings].map(([{ name }, of]) => [name, of]));
  return {
    title: 'Redis operations',
    caption: `A request each: EVALSHA calls, time in Redis and CPU time of this process in µs (least of ${ROUNDS} interleaved rounds of ${requests} requests, ${CONCURRENCY} at once). Ratios are to RateLimiterRedis of the same kind.`,
    columns: ['limiter', 'calls', 'Redis µs', 'ratio', 'process µs', 'ratio'],
    rows: [...readings].map(([{ name, beside }, of]) => {
      const peer = byName.get(beside);
      const ratioOf = (key: keyof Reading) => (peer === undefined ? '' : ratio(least(of, key), least(peer, key)));
      return [
        name,
        least(of, 'calls').toFixed(3),
        least(of, 'redisMicroseconds').toFixed(2),
        ratioOf('redisMicroseconds'),
        least(of, 'clientMicroseconds').toFixed(1),
        ratioOf('clientMicroseconds'),
      ];
    }),
  };
}

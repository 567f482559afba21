import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OnStoreFailure } from '../../policy/bundle/types.ts';
import type { Demand } from '../../sidecar/stores/limiter-store.ts';
import { RedisStore } from '../../sidecar/stores/redis-store.ts';
import { until, withAdmin } from '../../test/redis/redis-clients.ts';
import { freePort, RedisServer } from '../../test/redis/redis-server.ts';
import { SentinelGroup } from '../../test/redis/redis-topologies.ts';
import type { Table } from '../report.ts';

const PASSWORD = 'bench';
const LIMIT = 100;
const WINDOW_MS = 1000;
const PAUSE_MS = 2;
const BEFORE_MS = 1500;
const OUTAGE_MS = 2500;
const AFTER_MS = 2500;
const SLOW_MS = 60;
const DEADLINE_MS = 20_000;

const BEHAVIOURS: readonly OnStoreFailure[] = ['LocalShare', 'Allow', 'Deny'];

interface Failure {
  readonly name: string;
  /** Starts what is to fail. */
  setUp(): Promise<{
    readonly url: string;
    fail(): Promise<void>;
    recover(): Promise<void>;
    remove(): Promise<void>;
  }>;
}

/** A limit that never denies and is never leased: each of its requests waits for Redis. */
const WAITING = { limit: 100_000_000, windowMs: 59 };

interface Decision {
  readonly behaviour: OnStoreFailure | 'Waiting';
  /** Epoch milliseconds. */
  readonly asked: number;
  readonly at: number;
  readonly tookMs: number;
  readonly admitted: boolean;
  readonly degraded: boolean;
}

/** What each `onStoreFailure` does while Redis fails, what a request waits, and when all is well again. */
export async function failuresTable(_requests: number, say: (line: string) => void): Promise<Table> {
  const rows: string[][] = [];
  for (const failure of FAILURES) {
    rows.push(await observe(failure));
    say(`failures: Redis is ${failure.name}`);
  }
  return {
    title: 'When Redis fails',
    caption: `One process, a limit of ${LIMIT} in ${WINDOW_MS} ms for each onStoreFailure, asked every ${PAUSE_MS} ms; Redis fails for ${OUTAGE_MS} ms. Degraded: most admitted in a window while onStoreFailure decides, of ${LIMIT} (Allow: share of all requests). Across: most admitted in any window of the run with LocalShare. Waits of requests that Redis must decide, in ms. Recovered: seconds from the repair (failed over: from the failure) to the first answer of Redis.`,
    columns: [
      'Redis is',
      'LocalShare degraded',
      'Allow degraded',
      'Deny degraded',
      'LocalShare across',
      'p99 before',
      'p99 while it fails',
      'longest',
      'recovered',
    ],
    rows,
  };
}

const plain = (
  name: string,
  fail: (server: RedisServer) => Promise<void>,
  recover: (server: RedisServer) => Promise<void>,
): Failure => ({
  name,
  setUp: async () => {
    const server = await RedisServer.start();
    const { url } = server;
    return { url, fail: () => fail(server), recover: () => recover(server), remove: () => server.remove() };
  },
});

const FAILURES: readonly Failure[] = [
  plain(
    'killed',
    (server) => server.stop('SIGKILL'),
    (server) => server.start(),
  ),
  plain(
    'paused',
    async (server) => server.pause(),
    async (server) => server.resume(),
  ),
  {
    name: `slowed to ${SLOW_MS} ms`,
    setUp: async () => {
      const server = await RedisServer.start();
      const proxy = await startProxy(server.port);
      return {
        url: `redis://127.0.0.1:${proxy.port}`,
        fail: async () => proxy.delay(SLOW_MS),
        recover: async () => proxy.delay(0),
        remove: async () => {
          proxy.close();
          await server.remove();
        },
      };
    },
  },
  plain(
    'flushed',
    (server) => withAdmin(server, async (admin) => void (await admin.flushall())),
    async () => {},
  ),
  {
    name: 'failed over',
    setUp: async () => {
      const group = await SentinelGroup.start(PASSWORD);
      return {
        url: group.url(PASSWORD),
        fail: () => group.primary.stop('SIGKILL'),
        recover: async () => {},
        remove: () => group.remove(),
      };
    },
  },
];

async function observe({ name, setUp }: Failure): Promise<string[]> {
  const { url, fail, recover, remove } = await setUp();
  const store = new RedisStore({ redisUrl: url, group: 'bench/limits', replica: 'pod-0' });
  try {
    await until(() => store.available);
    const decisions: Decision[] = [];
    const load = { running: true };
    const loads = Promise.all(
      [...BEHAVIOURS, 'Waiting' as const].map((behaviour) => ask(store, behaviour, load, decisions)),
    );
    await sleep(BEFORE_MS);
    const failedAt = performance.now();
    await fail();
    await sleep(OUTAGE_MS);
    const selfHealing = name === 'failed over' || name === 'flushed';
    const repairedAt = selfHealing ? failedAt : performance.now();
    await recover();
    const deadline = Date.now() + DEADLINE_MS;
    while (!store.available && Date.now() < deadline) await sleep(1);
    // A limit with Deny is decided by Redis again one window after counters were lost.
    await sleep(AFTER_MS);
    load.running = false;
    await loads;
    // A denial may be remembered from before: only an admission shows that Redis decides.
    const noticedAt = decisions.find(({ at, degraded }) => degraded && at > failedAt)?.at ?? failedAt;
    const back = decisions.find(
      ({ at, ...one }) => one.admitted && !one.degraded && at > Math.max(repairedAt, noticedAt),
    );
    return [name, ...figures(decisions, failedAt), ((back!.at - repairedAt) / 1000).toFixed(1)];
  } finally {
    await store.close();
    await remove();
  }
}

async function ask(
  store: RedisStore,
  behaviour: Decision['behaviour'],
  load: { readonly running: boolean },
  decisions: Decision[],
): Promise<void> {
  const plan = { name: behaviour, algorithm: 'SlidingWindow', limit: LIMIT, windowMs: WINDOW_MS, burst: 0 } as const;
  const demand: Demand = {
    plan:
      behaviour === 'Waiting'
        ? { ...plan, ...WAITING, onStoreFailure: 'Allow' }
        : { ...plan, onStoreFailure: behaviour },
    key: behaviour,
  };
  while (load.running) {
    const from = performance.now();
    const asked = Date.now();
    const { admitted, degraded } = await store.consume([demand], asked);
    const at = performance.now();
    decisions.push({ behaviour, asked, at, tookMs: at - from, admitted, degraded });
    await sleep(PAUSE_MS);
  }
}

function figures(decisions: readonly Decision[], failedAt: number): string[] {
  const of = (behaviour: OnStoreFailure, degraded: boolean) =>
    decisions.filter((one) => one.behaviour === behaviour && (!degraded || one.degraded));
  const most = (some: readonly Decision[]): number => {
    const times = some.filter(({ admitted }) => admitted).map(({ asked }) => asked);
    return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + WINDOW_MS).length));
  };
  const allowed = of('Allow', true);
  const share =
    allowed.length === 0
      ? '-'
      : `${Math.round((100 * allowed.filter((one) => one.admitted).length) / allowed.length)} %`;
  const waits = (some: readonly Decision[]) => some.map(({ tookMs }) => tookMs).toSorted((a, b) => a - b);
  const waiting = decisions.filter(({ behaviour }) => behaviour === 'Waiting');
  const before = waits(waiting.filter(({ at }) => at < failedAt));
  const during = waits(waiting.filter(({ at }) => at >= failedAt && at < failedAt + OUTAGE_MS));
  const p99 = (sorted: readonly number[]) => (sorted[Math.floor(sorted.length * 0.99)] ?? 0).toFixed(1);
  return [
    String(most(of('LocalShare', true))),
    share,
    String(most(of('Deny', true))),
    String(most(of('LocalShare', false))),
    p99(before),
    p99(during),
    (during.at(-1) ?? 0).toFixed(1),
  ];
}

/** A way to Redis that can be made longer. */
async function startProxy(target: number) {
  let delayMs = 0;
  const sockets = new Set<Socket>();
  const pass = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.on('data', (bytes) => {
      if (delayMs === 0) to.write(bytes);
      else setTimeout(() => to.destroyed || to.write(bytes), delayMs);
    });
  };
  const server = createServer((client) => {
    const redis = connect(target, '127.0.0.1');
    pass(client, redis);
    pass(redis, client);
  });
  const port = await freePort();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port,
    delay: (milliseconds: number) => {
      delayMs = milliseconds;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

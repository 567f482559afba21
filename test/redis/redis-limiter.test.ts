import { after, before, describe } from 'node:test';
import type { LimiterStore } from '../../sidecar/stores/limiter-store.ts';
import { RedisStore } from '../../sidecar/stores/redis-store.ts';
import { limiterSuite } from './limiter-suite.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

/** Far above 20 ms: a busy machine must not send this suite to onStoreFailure. */
const TIMEOUT_MS = 10_000;

for (const replicas of [1, 4]) {
  describe(`limits in Redis, ${replicas} replicas`, { skip: redisMissing() }, () => {
    let server: RedisServer;
    let stores: RedisStore[];
    let turn = 0;

    before(async () => {
      server = await RedisServer.start();
      stores = Array.from({ length: replicas }, (_, i) => {
        const options = { redisUrl: server.url, group: 'ns/policy', replica: `pod-${i}` };
        return new RedisStore({ ...options, timeoutMs: TIMEOUT_MS, clock: 'caller' });
      });
    });
    after(async () => {
      await Promise.all(stores.map((store) => store.close()));
      await server.remove();
    });

    const anyReplica = (): LimiterStore => stores[turn++ % replicas]!;
    limiterSuite(`Redis, ${replicas} replicas`, { store: anyReplica, runs: 40, windows: 20 });
  });
}

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { LimitConfig } from '../../policy/bundle/types.ts';
import { send } from '../support/raw-http.ts';
import { type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';
import { withAdmin } from './redis-clients.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

function limit(name: string, count: number): LimitConfig {
  const rate = { limit: count, windowMs: 3_600_000 };
  const match = { hosts: [], paths: [], methods: [] };
  const rates = { anonymous: rate, authenticated: rate };
  return { name, match, key: ['user'], algorithm: 'SlidingWindow', rates, burst: 0, onStoreFailure: 'Deny' };
}

describe('limits that are only tried, in Redis', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  let sidecars: SidecarUnderTest[];
  before(async () => {
    redis = await RedisServer.start();
    const store = { redisUrl: redis.url };
    // The candidate has the name of a limit that counts for real, and other pods may enforce the candidate.
    const policy = {
      limits: { store, limits: [limit('all', 4)] },
      candidateLimits: { store, limits: [limit('all', 2)] },
    };
    sidecars = [await startSidecarUnderTest(policy), await startSidecarUnderTest(policy)];
  });
  after(async () => {
    for (const sidecar of sidecars) await sidecar.stop();
    await redis.remove();
  });

  it('count together over pods, under keys of their own', async () => {
    const statuses: number[] = [];
    for (let request = 0; request < 6; request++) {
      const { port } = sidecars[request % 2]!;
      statuses.push((await send(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).status);
    }
    assert.deepEqual(statuses, [200, 200, 200, 200, 429, 429]);
    const counted = async (label: string): Promise<number> => {
      let sum = 0;
      for (const { adminPort } of sidecars) {
        const request = 'GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
        const { body } = await send(adminPort, request, { untilClosed: true });
        const line = body.split('\n').find((each) => each.startsWith(`portcullis_candidate_requests_total{${label}}`));
        sum += Number(line?.split(' ').at(-1) ?? 0);
      }
      return sum;
    };
    const outcome = (word: string) => counted(`kind="limits",outcome="${word}"`);
    while ((await outcome('same')) + (await outcome('different')) < 6);
    // Two both admit, two only the live limit does, two neither.
    assert.deepEqual([await outcome('same'), await outcome('different')], [4, 2]);
    const keys = await withAdmin(redis, (admin) => admin.keys('*'));
    const groups = new Set(keys.map((key) => /\{(.*?)\}/.exec(key)?.[1]));
    assert.deepEqual([...groups].sort(), ['test/limits', 'test/tried/candidate']);
  });
});

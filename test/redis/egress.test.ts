import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { EgressConfig } from '../../policy/bundle/egress.ts';
import { RedisStore } from '../../sidecar/stores/redis-store.ts';
import { type EgressUnderTest, startEgress } from '../support/egress-under-test.ts';
import { answer, type RecordingBroker, recordingBroker } from '../support/recording-broker.ts';
import { RedisServer, redisMissing } from './redis-server.ts';

const PODS = 4;
const LIMIT = 20;

describe('egress of several pods to one broker', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  let broker: RecordingBroker;
  let stores: RedisStore[];
  let pods: EgressUnderTest[];
  let config: Partial<EgressConfig>;

  before(async () => {
    [redis, broker] = await Promise.all([RedisServer.start(), recordingBroker()]);
    stores = Array.from(
      { length: PODS },
      (_, i) => new RedisStore({ redisUrl: redis.url, group: 'test/limits', replica: `pod-${i}`, timeoutMs: 10_000 }),
    );
    config = {
      origin: `https://broker.example:${broker.port}`,
      ca: broker.ca,
      rate: { limit: LIMIT, windowMs: 60_000, burst: 0 },
      retry: { attempts: 3, retryOn: ['5xx'], baseMs: 1, maxMs: 10 },
    };
    pods = await Promise.all(stores.map((limiter) => startEgress([config], { limiter })));
  });
  after(async () => {
    for (const pod of pods) await pod[Symbol.asyncDispose]();
    await Promise.all(stores.map((store) => store.close()));
    await Promise.all([redis.remove(), broker[Symbol.asyncDispose]()]);
  });

  it('keeps one rate over all of them, what is tried again included', async () => {
    broker.behave(...Array.from({ length: 10 }, () => answer(503)));
    const statuses: number[] = [];
    for (let round = 0; round < 10; round++) {
      const asked = await Promise.all(pods.map((pod) => pod.ask('GET /broker/x')));
      statuses.push(...asked.map(({ status }) => status));
    }
    assert.equal(broker.requests.length, LIMIT);
    assert.ok(statuses.includes(200) && statuses.at(-1) === 429);
  });

  it('goes on without Redis, each with its share of the rate', async () => {
    await redis.stop('SIGKILL');
    const before = broker.requests.length;
    const [pod] = pods;
    pod?.use({ ...config, name: 'other' }); // of which no denial is remembered
    for (let round = 0; round < LIMIT; round++) await pod?.ask('GET /other/x');
    const sent = broker.requests.length - before;
    assert.ok(sent >= 1 && sent <= LIMIT, `${sent} requests`);
  });
});

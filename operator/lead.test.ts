import { test } from 'node:test';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { KubeError } from './kube/kube-client.ts';
import { KubeMetrics } from './kube/kube-metrics.ts';
import { type LeaderParts, lead } from './lead.ts';

test('a leader whose caches are not complete yet can be stopped', { timeout: 10_000 }, async () => {
  const list = Promise.withResolvers<never>();
  const log = pino({ level: 'silent' });
  const stopping = new AbortController();
  // What else it works with it does not touch before its caches are complete.
  const parts = { client: { list: () => list.promise }, log, metrics: new KubeMetrics(new Registry()) };
  const leading = lead(parts as unknown as LeaderParts, stopping.signal);
  stopping.abort();
  const stopped = (await leading).stop();
  list.reject(new KubeError(0, 'NoAnswer', 'the API server went away'));
  await stopped;
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Histogram, Registry } from 'prom-client';
import { HotHistogram } from './hot-histogram.ts';

const BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];

describe('HotHistogram', () => {
  const observations: readonly (readonly [name: string, values: readonly number[]])[] = [
    ['nothing', []],
    ['zero', [0]],
    ['a value on each bound', BOUNDS],
    ['a value just above each bound', BOUNDS.map((bound) => bound * 1.000001)],
    ['beyond the last bound', [31, 1e9]],
    ['many of one', Array<number>(1_000).fill(0.003)],
  ];
  for (const [name, values] of observations) {
    it(`renders like prom-client’s own: ${name}`, async () => {
      const ours = new Registry();
      const theirs = new Registry();
      const hot = new HotHistogram('latency_seconds', 'Latency.');
      ours.registerMetric(hot);
      const reference = new Histogram({
        name: 'latency_seconds',
        help: 'Latency.',
        buckets: BOUNDS,
        registers: [theirs],
      });
      for (const value of values) {
        hot.record(value);
        reference.observe(value);
      }
      assert.deepEqual(lines(await ours.metrics()), lines(await theirs.metrics()));
    });
  }
});

function lines(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}

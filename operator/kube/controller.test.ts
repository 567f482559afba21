import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { startController } from './controller.ts';
import { KubeError, type Requeue } from './kube-client.ts';
import { KubeMetrics } from './kube-metrics.ts';
import { FakeClock } from './testing/fake-clock.ts';

interface Rig {
  readonly clock: FakeClock;
  readonly registry: Registry;
  /** When the key was reconciled, in ms. */
  readonly runs: number[];
  readonly errors: Readonly<Record<string, unknown>>[];
  enqueue(): void;
  stop(): Promise<void>;
}

/** A controller whose reconciliations end as told, one after the other, and then well. */
function rig(outcomes: readonly (Requeue | Error)[]): Rig {
  const clock = new FakeClock();
  const registry = new Registry();
  const errors: Record<string, unknown>[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void errors.push(JSON.parse(line)) });
  const runs: number[] = [];
  const controller = startController({
    name: 'test',
    log,
    clock,
    metrics: new KubeMetrics(registry),
    async reconcile() {
      const outcome = outcomes[runs.length] ?? { afterMs: null };
      runs.push(clock.now());
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
  });
  return { clock, registry, runs, errors, enqueue: () => controller.enqueue('x/a'), stop: () => controller.stop() };
}

const CONFLICT = new KubeError(409, 'Conflict', 'changed');
const CASES: readonly (readonly [
  name: string,
  outcomes: readonly (Requeue | Error)[],
  runs: readonly number[],
  logged: number,
  results: Readonly<Record<string, number>>,
])[] = [
  ['once when all is well', [], [0], 0, { success: 1 }],
  [
    'again when it asks for it',
    [{ afterMs: 4000 }, { afterMs: 1 }],
    [0, 4000, 4001],
    0,
    { requeue_after: 2, success: 1 },
  ],
  [
    'again after a growing wait when it fails',
    [new Error('1'), new Error('2'), new Error('3')],
    [0, 5, 15, 35],
    3,
    { error: 3, success: 1 },
  ],
  [
    'with small waits again after a success',
    [new Error('1'), new Error('2'), { afterMs: 100 }, new Error('3')],
    [0, 5, 15, 115, 120],
    3,
    { error: 3, requeue_after: 1, success: 1 },
  ],
  ['soon and silently when another writer was first', [CONFLICT, CONFLICT], [0, 5, 15], 0, { requeue: 2, success: 1 }],
  [
    'not before the server allows it',
    [new KubeError(429, 'TooManyRequests', 'slow down', { retryAfterMs: 3000 })],
    [0, 3000],
    1,
    { error: 1, success: 1 },
  ],
];

describe('startController', () => {
  for (const [name, outcomes, runs, logged, results] of CASES) {
    it(`reconciles ${name}`, async () => {
      const { clock, registry, enqueue, stop, ...seen } = rig(outcomes);
      enqueue();
      await clock.advance(1_000_000);
      await stop();
      assert.deepEqual(seen.runs, runs);
      assert.equal(seen.errors.length, logged);
      const metric = await registry.getSingleMetric('controller_runtime_reconcile_total')?.get();
      const counted = metric?.values.map(({ labels, value }) => [labels['result'], value]);
      assert.deepEqual(Object.fromEntries(counted ?? []), results);
    });
  }

  it('says which key failed, why, and when it comes again', async () => {
    const { clock, enqueue, stop, errors } = rig([new Error('a bug')]);
    enqueue();
    await clock.advance(1);
    await stop();
    const { msg, controller, key, waitMs, err } = errors[0] as Record<string, unknown>;
    assert.deepEqual(
      { msg, controller, key, waitMs },
      { msg: 'reconciliation failed', controller: 'test', key: 'x/a', waitMs: 5 },
    );
    assert.equal((err as Error).message, 'a bug');
  });

  it('works on as many keys at once as it has workers, and waits for them at stop', async () => {
    const clock = new FakeClock();
    const ends: (() => void)[] = [];
    const controller = startController({
      name: 'test',
      workers: 2,
      log: pino({ level: 'silent' }),
      metrics: new KubeMetrics(new Registry()),
      clock,
      reconcile: () => new Promise((resolve) => ends.push(() => resolve({ afterMs: null }))),
    });
    for (const key of ['a', 'b', 'c']) controller.enqueue(key);
    await clock.advance(1);
    assert.equal(ends.length, 2);
    let stopped = false;
    const stop = controller.stop().then(() => {
      stopped = true;
    });
    await clock.advance(1);
    assert.equal(stopped, false);
    for (const end of ends) end();
    await stop;
    assert.equal(ends.length, 2);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as settle } from 'node:timers/promises';
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { KubeMetrics } from './kube-metrics.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { WorkQueue } from './work-queue.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 300) };

function rig(): { readonly queue: WorkQueue; readonly clock: FakeClock; readonly metrics: KubeMetrics } {
  const clock = new FakeClock();
  const metrics = new KubeMetrics(new Registry());
  return { queue: new WorkQueue('test', metrics, clock), clock, metrics };
}

/** The key that waits, or undefined. */
async function taken(queue: WorkQueue): Promise<string | null | undefined> {
  const next = queue.next();
  return Promise.race([next, settle().then(() => undefined)]);
}

describe('WorkQueue', () => {
  it('hands out a key once however often it was added, in the order of first additions', async () => {
    const { queue } = rig();
    for (const key of ['b', 'a', 'b', 'b', 'a']) queue.add(key);
    assert.equal(await taken(queue), 'b');
    assert.equal(await taken(queue), 'a');
    assert.equal(await taken(queue), undefined);
  });

  it('hands out a key again that was added while it was worked on, when that has ended', async () => {
    const { queue } = rig();
    queue.add('a');
    assert.equal(await queue.next(), 'a');
    queue.add('a');
    queue.add('a');
    const next = queue.next();
    assert.equal(await Promise.race([next, settle().then(() => 'nothing')]), 'nothing');
    queue.done('a');
    assert.equal(await next, 'a');
    queue.done('a');
    assert.equal(await taken(queue), undefined);
  });

  it('adds a key later, at the earliest of the times asked for, once', async () => {
    const { queue, clock } = rig();
    queue.addAfter('a', 1000);
    queue.addAfter('a', 300);
    queue.addAfter('a', 500);
    await clock.advance(299);
    const next = queue.next();
    await clock.advance(0);
    assert.equal(await Promise.race([next, settle().then(() => 'nothing')]), 'nothing');
    await clock.advance(1);
    assert.equal(await next, 'a');
    queue.done('a');
    await clock.advance(10_000);
    assert.equal(await taken(queue), undefined);
  });

  it('waits twice as long after each failure, 5 ms to 1000 s, until it is told to forget', () => {
    const { queue } = rig();
    const waits = Array.from({ length: 20 }, () => queue.retry('a'));
    assert.deepEqual(waits.slice(0, 4), [5, 10, 20, 40]);
    assert.deepEqual(waits.slice(-3), [655_360, 1_000_000, 1_000_000]);
    assert.equal(queue.retry('b'), 5);
    queue.forget('a');
    assert.equal(queue.retry('a'), 5);
    assert.equal(queue.retry('a', 7000), 7000);
  });

  it('gives every waiting worker null when it is shut, and hands out nothing more', async () => {
    const { queue, clock } = rig();
    const waiting = [queue.next(), queue.next()];
    queue.addAfter('a', 10);
    queue.shut();
    assert.deepEqual(await Promise.all(waiting), [null, null]);
    queue.add('b');
    await clock.advance(1000);
    assert.equal(await queue.next(), null);
  });

  it('counts what happens', async () => {
    const { queue, clock, metrics } = rig();
    queue.add('a');
    queue.add('b');
    queue.add('b');
    assert.equal((await metrics.queueDepth.get()).values[0]?.value, 2);
    await clock.advance(2000);
    await queue.next();
    await clock.advance(3000);
    queue.add('a');
    queue.done('a');
    queue.retry('c');
    const sum = async (histogram: KubeMetrics['queueSeconds']): Promise<number | undefined> =>
      (await histogram.get()).values.find(({ metricName }) => metricName?.endsWith('_sum'))?.value;
    assert.equal((await metrics.queueDepth.get()).values[0]?.value, 2);
    assert.equal((await metrics.queueAdds.get()).values[0]?.value, 3);
    assert.equal((await metrics.queueRetries.get()).values[0]?.value, 1);
    assert.equal(await sum(metrics.queueSeconds), 2);
    assert.equal(await sum(metrics.workSeconds), 3);
  });

  it('never has a key with two workers, and loses none, in any interleaving', async () => {
    const key = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), key }),
      fc.record({ do: fc.constant('later' as const), key, ms: fc.nat(50) }),
      fc.record({ do: fc.constant('retry' as const), key }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60) }),
      fc.record({ do: fc.constant('finish' as const), nth: fc.nat(2) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { queue, clock } = rig();
        const active = new Map<string, () => void>();
        /** Changes up to which each key was asked for, and worked on. */
        const asked = new Map<string, number>();
        const worked = new Map<string, number>();
        let time = 0;
        const worker = async (): Promise<void> => {
          for (let next = await queue.next(); next !== null; next = await queue.next()) {
            assert.equal(active.has(next), false, `${next} is with two workers`);
            worked.set(next, time);
            await new Promise<void>((resolve) => active.set(next as string, resolve));
            active.delete(next);
            queue.done(next);
          }
        };
        const workers = [worker(), worker(), worker()];
        const ask = (name: string): void => void asked.set(name, ++time);
        for (const next of steps) {
          if (next.do === 'wait') await clock.advance(next.ms);
          else if (next.do === 'finish') [...active.values()][next.nth]?.();
          else {
            ask(next.key);
            if (next.do === 'add') queue.add(next.key);
            else if (next.do === 'later') queue.addAfter(next.key, next.ms);
            else queue.retry(next.key);
          }
          await settle();
        }
        // Everything becomes due and every worker ends what it has.
        await clock.advance(10_000_000);
        while (active.size > 0) {
          for (const end of active.values()) end();
          await settle();
        }
        for (const [name, at] of asked) assert.ok((worked.get(name) ?? 0) >= at, `${name} was lost`);
        queue.shut();
        await Promise.all(workers);
      }),
      RUNS,
    );
  });
});

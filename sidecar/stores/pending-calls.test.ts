import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PendingCalls } from './pending-calls.ts';

const TIMEOUT_MS = 20;

function busyFor(milliseconds: number): void {
  const until = performance.now() + milliseconds;
  while (performance.now() < until);
}

describe('PendingCalls', () => {
  for (const [name, busyMs] of [
    ['an idle event loop', 0],
    ['a busy event loop', TIMEOUT_MS + 10],
  ] as const) {
    it(`settles a call that nobody answers as unanswered: ${name}`, async () => {
      let timeouts = 0;
      const pending = new PendingCalls(TIMEOUT_MS, { onTimeout: () => timeouts++, onLateAnswer: () => {} });
      const keepAlive = setInterval(() => {}, 1_000);
      const settled = new Promise((resolve) => pending.add((_error, reply) => resolve(reply)));
      busyFor(busyMs);
      assert.equal(await settled, undefined);
      assert.equal(timeouts, 1);
      clearInterval(keepAlive);
    });
  }

  it('an event loop that was busy beyond the time-out is not a slow store', async () => {
    let timeouts = 0;
    const pending = new PendingCalls(TIMEOUT_MS, { onTimeout: () => timeouts++, onLateAnswer: () => {} });
    const replies = Array.from({ length: 3 }, (_, index) => {
      const reply = Promise.withResolvers<unknown>();
      const answer = pending.add((_error, value) => reply.resolve(value));
      setTimeout(() => answer(null, index), TIMEOUT_MS + 13 + index);
      return reply.promise;
    });
    busyFor(TIMEOUT_MS + 10);
    assert.deepEqual(await Promise.all(replies), [0, 1, 2]);
    assert.equal(timeouts, 0);
  });
});

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MemoryNonces } from '../../sidecar/stores/nonces-memory.ts';
import { nonceSuite, nonceUse } from './nonce-suite.ts';

nonceSuite('nonces in memory', async () => ({ store: new MemoryNonces(), close: async () => {} }));

const T = 1_800_000_000_000;
const toleranceMs = 1_000;
const use = (nonce: string) => nonceUse({ nonce, timestampMs: T, toleranceMs });

it('a nonce is remembered for longer than its timestamp can be accepted, and then forgotten', () => {
  const store = new MemoryNonces();
  assert.equal(store.use(use('a'), T - toleranceMs), 'new');
  assert.equal(store.use(use('a'), T + toleranceMs + 9_999), 'used');
  assert.equal(store.use(use('a'), T + toleranceMs + 10_000), 'new');
});

it('when it is full nothing is forgotten early: a new nonce is unknown until there is room', () => {
  const store = new MemoryNonces(2);
  assert.deepEqual(
    ['a', 'b', 'c', 'a'].map((nonce) => store.use(use(nonce), T)),
    ['new', 'new', 'unknown', 'used'],
  );
  assert.equal(store.use(use('c'), T + 12_000), 'new');
});

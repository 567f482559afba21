import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ReplicaCount } from './replica-count.ts';

it('ReplicaCount believes more at once and fewer when it lasts for four heartbeats', () => {
  const replicas = new ReplicaCount();
  const seen = [1, 4, 1, 2, 2, 2, 2].map((count) => {
    replicas.seen(count);
    return replicas.value;
  });
  assert.deepEqual(seen, [1, 4, 4, 4, 4, 2, 2]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitTarget } from './split-target.ts';

test('target: split at the first question mark', () => {
  assert.deepEqual(splitTarget('/a'), { path: '/a', query: '' });
  assert.deepEqual(splitTarget('/a?'), { path: '/a', query: '?' });
  assert.deepEqual(splitTarget('/a?b=/../c?d'), { path: '/a', query: '?b=/../c?d' });
});

test('target: a query with a fragment, blank, control character or high octet is refused', () => {
  for (const target of ['/?a#b', '/?a b', '/?a\0', '/?a\x7f', '/?\xe9'])
    assert.equal(splitTarget(target), null, target);
});

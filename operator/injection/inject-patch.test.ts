import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { jsonPatch } from './inject-patch.ts';

describe('jsonPatch', () => {
  const cases: readonly [string, object, object, object[]][] = [
    ['nothing', { a: [1] }, { a: [1] }, []],
    ['undefined is absent', { a: undefined }, {}, []],
    [
      'added, replaced, removed',
      { a: 1, b: 2 },
      { a: 3, c: 4 },
      [
        { op: 'replace', path: '/a', value: 3 },
        { op: 'remove', path: '/b' },
        { op: 'add', path: '/c', value: 4 },
      ],
    ],
    [
      'within, with escapes',
      { 'x/~y': { a: 1 } },
      { 'x/~y': { a: 2 } },
      [{ op: 'replace', path: '/x~1~0y/a', value: 2 }],
    ],
    [
      'one item of an array',
      { a: [{ b: 1 }, { b: 2 }] },
      { a: [{ b: 1 }, { b: 3 }] },
      [{ op: 'replace', path: '/a/1/b', value: 3 }],
    ],
    ['an array that grows', { a: [1] }, { a: [0, 1] }, [{ op: 'replace', path: '/a', value: [0, 1] }]],
    ['another type', { a: [] }, { a: {} }, [{ op: 'replace', path: '/a', value: {} }]],
  ];
  for (const [name, before, after, patch] of cases) test(name, () => assert.deepEqual(jsonPatch(before, after), patch));
});

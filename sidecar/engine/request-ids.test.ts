import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRequestIds, isRequestId } from './request-ids.ts';

describe('request ids', () => {
  it('are different within a process and between processes, and well-formed', () => {
    const one = createRequestIds(Buffer.alloc(12, 1));
    const other = createRequestIds(Buffer.alloc(12, 2));
    const ids = new Set<string>();
    for (let i = 0; i < 1_000; i++) ids.add(one()).add(other());
    assert.equal(ids.size, 2_000);
    for (const id of ids) assert.ok(isRequestId(id), id);
  });

  const cases: readonly (readonly [value: string, wellFormed: boolean])[] = [
    ['a', true],
    ['A0._:-', true],
    ['a'.repeat(128), true],
    ['a'.repeat(129), false],
    ['', false],
    ['a b', false],
    ['a"b', false],
    ['a\nb', false],
    ['ä', false],
  ];
  for (const [value, wellFormed] of cases) {
    it(`${JSON.stringify(value.slice(0, 20))} (${value.length}) is ${wellFormed ? '' : 'not '}taken from a proxy`, () => {
      assert.equal(isRequestId(value), wellFormed);
    });
  }
});

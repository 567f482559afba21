import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseByteSize } from './byte-size.ts';

const cases: readonly [text: string, bytes: number | undefined][] = [
  ['512', 512],
  ['64Ki', 65_536],
  ['1Mi', 1_048_576],
  ['0', undefined],
  ['064Ki', undefined],
  ['1.5Mi', undefined],
  ['1Gi', undefined],
  ['1M', undefined],
  ['', undefined],
  ['Ki', undefined],
];

for (const [text, bytes] of cases) {
  test(`${JSON.stringify(text)}: ${bytes ?? 'no size'}`, () => assert.equal(parseByteSize(text), bytes));
}

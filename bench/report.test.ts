import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions } from './options.ts';
import { minAndMedian, quietCount, quietRounds, renderTable } from './report.ts';

test('the median of an even count is the mean of the two in the middle', () => {
  assert.deepEqual(minAndMedian([4, 1, 3, 2]), { min: 1, median: 2.5 });
  assert.deepEqual(minAndMedian([9, 1, 3]), { min: 1, median: 3 });
});

test('disturbed rounds count only when there are no others', () => {
  const quiet = { disturbed: false };
  const disturbed = { disturbed: true };
  assert.deepEqual(quietRounds([quiet, disturbed]), [quiet]);
  assert.deepEqual(quietRounds([disturbed]), [disturbed]);
  assert.equal(quietCount([quiet, disturbed]), '1 of 2');
});

test('a table is Markdown with its first column to the left and numbers to the right', () => {
  const table = {
    title: 'CPU',
    caption: 'In µs.',
    columns: ['proxy', 'µs'],
    rows: [
      ['a', '1.0'],
      ['long name', '20.0'],
    ],
  };
  assert.equal(
    renderTable(table),
    `### CPU

In µs.

| proxy     |   µs |
|-----------|-----:|
| a         |  1.0 |
| long name | 20.0 |
`,
  );
});

test('options that cannot be meant are refused with what to write instead', () => {
  assert.throws(() => parseOptions(['--only', 'cpu,speed']), /"speed"; write one of cpu, policies, redis,/);
  assert.throws(() => parseOptions(['--rounds', '0']), /--rounds: write a whole number/);
  assert.throws(() => parseOptions(['--fast']), /Unknown option/);
  assert.equal(parseOptions(['--help']), 'help');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { multipleOf, uniqueItems } from './keywords.ts';

const multiples: readonly (readonly [value: number, divisor: number, expected: boolean])[] = [
  [19.99, 0.01, true],
  [19.995, 0.01, false],
  [0.07, 0.01, true],
  [123456789.01, 0.01, true],
  [0.3, 0.1, true],
  [7, 2, false],
  [-7.5, 2.5, true],
  [0, 3, true],
  [1e300, 1e-300, true],
  [1e-7, 1e-8, true],
  [1e-8, 1e-7, false],
  [1.5e21, 5e20, true],
];
for (const [value, divisor, expected] of multiples) {
  test(`multipleOf: ${value} by ${divisor}`, () => assert.equal(multipleOf.validate?.(divisor, value), expected));
}

const lists: readonly (readonly [items: readonly unknown[], unique: boolean])[] = [
  [[], true],
  [['a', 'b'], true],
  [['a', 'a'], false],
  [['__proto__', '__proto__'], false],
  [['__proto__', 'constructor'], true],
  [[1, '1', true, 'true', null, 'null'], true],
  [[0, -0], false],
  [
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
    false,
  ],
  [
    [
      { a: 1, b: [{}] },
      { b: [], a: 1 },
    ],
    true,
  ],
  [
    [
      [1, 2],
      [2, 1],
    ],
    true,
  ],
  [[{ a: 'b,"c":1' }, { a: 'b', c: 1 }], true],
];
for (const [items, unique] of lists) {
  test(`uniqueItems: ${JSON.stringify(items)}`, () => {
    assert.equal(uniqueItems.validate?.(true, items), unique);
    assert.equal(uniqueItems.validate?.(false, items), true);
  });
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { countOffences, forgottenAt, noOffences, type OffenceRule } from './offence-record.ts';

const MINUTE = 60_000;
const progressive: OffenceRule = {
  threshold: 3,
  windowMs: 10 * MINUTE,
  blockMs: MINUTE,
  multiplier: 2,
  maxMs: 60 * MINUTE,
};

/** The measures that offences at these times lead to, as [at, minutes]. */
function measures(rule: OffenceRule, times: readonly number[]): (readonly [number, number])[] {
  const record = noOffences();
  return times.flatMap((at) => {
    const ms = countOffences(record, rule, 1, at * MINUTE);
    return ms === null ? [] : [[at, ms / MINUTE] as const];
  });
}

const cases: readonly (readonly [name: string, times: readonly number[], measures: readonly (readonly number[])[]])[] =
  [
    ['the third leads to a block', [0, 1, 2], [[2, 1]]],
    ['not when the first is as old as the window', [0, 1, 10], []],
    ['but just before', [0, 1, 9.99], [[9.99, 1]]],
    ['those during a block do not count', [0, 0, 0, 0.5, 0.9, 1, 1.1], [[0, 1]]],
    [
      'each further block is longer',
      [0, 0, 0, 1, 1, 1, 3, 3, 3],
      [
        [0, 1],
        [1, 2],
        [3, 4],
      ],
    ],
    [
      'up to the longest',
      [0, 1, 3, 7, 15, 31, 63, 123].flatMap((at) => [at, at, at]),
      [
        [0, 1],
        [1, 2],
        [3, 4],
        [7, 8],
        [15, 16],
        [31, 32],
        [63, 60],
        [123, 60],
      ],
    ],
    [
      'a block just before that keeps the level',
      [0, 0, 0, 60.9, 60.9, 60.9],
      [
        [0, 1],
        [60.9, 2],
      ],
    ],
    [
      'who was quiet for as long as the longest begins anew',
      [0, 0, 0, 61, 61, 61],
      [
        [0, 1],
        [61, 1],
      ],
    ],
    ['a clock that steps back by less than a window', [5, 5, 4], [[4, 1]]],
    ['a clock that steps back by more begins anew', [20, 20, 5], []],
  ];

describe('countOffences', () => {
  for (const [name, times, expected] of cases) {
    it(name, () => assert.deepEqual(measures(progressive, times), expected));
  }

  it('many at once are one measure', () => {
    assert.equal(countOffences(noOffences(), progressive, 1_000, 0), MINUTE);
  });

  it('a measure of no length only tells, and counting begins anew', () => {
    const tell = { ...progressive, blockMs: 0, maxMs: 0, multiplier: 1 };
    assert.deepEqual(measures(tell, [0, 0, 0, 0, 0, 0]), [
      [0, 0],
      [0, 0],
    ]);
  });

  it('agrees with a model that remembers every offence, threshold up to 60', () => {
    fc.assert(
      fc.property(rules(fc.integer({ min: 1, max: 8 })), histories, (rule, gaps) => {
        const record = noOffences();
        const model = new Model(rule);
        let now = 1_000_000;
        for (const { gap, amount } of gaps) {
          now += gap;
          assert.equal(countOffences(record, rule, amount, now), model.count(amount, now));
        }
      }),
    );
  });

  it('above 60 counts for the window at least and 1.7 % longer at most, in 61 slots', () => {
    fc.assert(
      fc.property(rules(fc.integer({ min: 61, max: 70 })), fc.array(fc.nat(40), { maxLength: 400 }), (rule, gaps) => {
        const record = noOffences();
        const [shortest, longest] = [
          new Model(rule),
          new Model({ ...rule, windowMs: rule.windowMs + Math.ceil(rule.windowMs / 60) }),
        ];
        let now = 1_000_000;
        for (const gap of gaps) {
          now += gap;
          const [least, most] = [shortest.total(now) + 1, longest.total(now) + 1];
          const measure = countOffences(record, rule, 1, now);
          if (least >= rule.threshold) assert.notEqual(measure, null);
          if (most < rule.threshold) assert.equal(measure, null);
          assert.ok(record.slots.length <= 62, `${record.slots.length} slots`);
          if (measure !== null) return;
          shortest.count(1, now);
          longest.count(1, now);
        }
      }),
    );
  });

  it('a record that is forgotten says the same as none', () => {
    fc.assert(
      fc.property(rules(fc.integer({ min: 1, max: 8 })), histories, (rule, gaps) => {
        const record = noOffences();
        let now = 1_000_000;
        for (const { gap, amount } of gaps) {
          now += gap;
          countOffences(record, rule, amount, now);
        }
        const later = Math.max(now, forgottenAt(record, rule));
        const fresh = noOffences();
        for (const after of [0, 1, 5, 30]) {
          assert.equal(countOffences(record, rule, 1, later + after), countOffences(fresh, rule, 1, later + after));
        }
      }),
    );
  });
});

const histories = fc.array(fc.record({ gap: fc.nat(60), amount: fc.integer({ min: 1, max: 3 }) }), { maxLength: 60 });

function rules(threshold: fc.Arbitrary<number>): fc.Arbitrary<OffenceRule> {
  return fc
    .record({
      threshold,
      windowMs: fc.integer({ min: 1, max: 200 }),
      blockMs: fc.integer({ min: 1, max: 50 }),
      multiplier: fc.integer({ min: 1, max: 3 }),
      more: fc.nat(200),
    })
    .map(({ more, ...rule }) => ({ ...rule, maxMs: rule.blockMs + more }));
}

/** What countOffences says it does, without any thrift. */
class Model {
  readonly #rule: OffenceRule;
  #times: number[] = [];
  #until = 0;
  #length = 0;

  constructor(rule: OffenceRule) {
    this.#rule = rule;
  }

  total(now: number): number {
    return this.#times.filter((at) => at > now - this.#rule.windowMs).length;
  }

  count(amount: number, now: number): number | null {
    const { threshold, blockMs, multiplier, maxMs, windowMs } = this.#rule;
    if (now < this.#until) return null;
    for (let i = 0; i < amount; i++) this.#times.push(now);
    if (this.total(now) < threshold) return null;
    const goesOn = this.#length > 0 && now < this.#until + Math.max(maxMs, windowMs);
    this.#length = Math.min(maxMs, goesOn ? this.#length * multiplier : blockMs);
    this.#times = [];
    this.#until = now + this.#length;
    return this.#length;
  }
}

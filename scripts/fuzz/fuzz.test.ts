import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { randomBelow } from '../../policy/evaluate/testing/random-below.ts';
import { fuzz, type Target } from './target.ts';
import { targets } from './targets.ts';

/** Ten million in all are run by hand, with scripts/fuzz.ts, before a release; CI looks that none of the targets has broken since. */
const RUNS = { tokens: 4_000, paths: 20_000, json: 10_000, 'jwk-sets': 2_000, policies: 400, files: 250, bundles: 400 };
/** What a target must have seen of, that its inputs are neither all bad nor all good. */
const SEEN = {
  tokens: ['parsed', 'malformed', 'unsupported'],
  paths: ['canonical', 'normalised', 'invalid_utf8', 'above_root'],
  json: ['read', 'refused', 'no JSON'],
  'jwk-sets': ['read', 'read in part', 'refused'],
  policies: ['compiled', 'not compiled', 'not valid'],
  files: ['cases', 'policies', 'problems'],
  bundles: ['decoded', 'bundle_invalid', 'bundle_unsigned'],
} satisfies Record<keyof typeof RUNS, readonly string[]>;

describe('fuzz targets hold', () => {
  for (const [name, runs] of Object.entries(RUNS) as [keyof typeof RUNS, number][]) {
    it(name, () => {
      const { outcomes } = fuzz(targets[name] as Target, runs, 7, randomBelow(7));
      assert.deepEqual(
        SEEN[name].filter((outcome) => outcomes[outcome] === undefined),
        [],
      );
    });
  }

  it('says the input that breaks one, and how to see it again', () => {
    const broken: Target = {
      next: (random) => String(random(10)),
      check: (input) => {
        if (input === '3') throw new RangeError('three');
        return 'fine';
      },
    };
    assert.throws(() => fuzz(broken, 1_000, 7, randomBelow(7)), /^Error: seed 7, run \d+: "3"$/);
  });

  it('says the input that takes too long', () => {
    const slow: Target = { maxMs: -1, next: () => 'x', check: () => 'late' };
    assert.throws(
      () => fuzz(slow, 1, 7, randomBelow(7)),
      ({ cause }: Error) => /^Error: takes \d+ ms$/.test(String(cause)),
    );
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseFlags } from './parse-flags.ts';

const KID = '-lA5lgZRsP0M8bOiEtR5yMzH1OVqcGbTXfp1oGvP8NA';
const OPTIONS = { reason: { type: 'string' } } as const;

describe('parseFlags', () => {
  for (const kid of [KID, `-${KID.slice(0, -1)}`]) {
    it(`takes the key id ${kid.slice(0, 4)}… for an argument`, () => {
      const { values, positionals } = parseFlags(['trading', kid, '--reason', 'x'], OPTIONS, 'see --help', true);
      assert.deepEqual([{ ...values }, positionals], [{ reason: 'x' }, ['trading', kid]]);
    });
  }

  it('refuses a flag that is none', () => {
    assert.throws(() => parseFlags(['--raeson', 'x'], OPTIONS, 'see --help', true), /--reason/);
    assert.throws(() => parseFlags([KID.slice(0, -1)], OPTIONS, 'see --help', true), /Unknown option '-l'/);
    assert.throws(() => parseFlags([KID], OPTIONS, 'see --help'), /Unknown option '-l'/);
  });
});

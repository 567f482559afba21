import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseFlags } from './parse-flags.ts';

const options = { 'key-file': { type: 'string' }, force: { type: 'boolean', short: 'f' } } as const;

const wrong: readonly { name: string; argv: readonly string[]; positionals?: boolean; says: string }[] = [
  {
    name: 'a slip',
    argv: ['--keyfile', 'x'],
    says: "Unknown option '--keyfile'; did you mean --key-file?; see --help",
  },
  {
    name: 'a slip where arguments are allowed',
    argv: ['--forc'],
    positionals: true,
    says: "Unknown option '--forc'; did you mean --force?; see --help",
  },
  { name: 'a flag unlike all', argv: ['--quite-another'], says: "Unknown option '--quite-another'; see --help" },
  { name: 'a short one', argv: ['-h'], positionals: true, says: "Unknown option '-h'; see --help" },
  { name: 'no value', argv: ['--key-file'], says: "Option '--key-file <value>' argument missing; see --help" },
  {
    name: 'a flag for a value',
    argv: ['--key-file', '--force'],
    says: "Option '--key-file' argument missing; see --help",
  },
  { name: 'an argument', argv: ['x'], says: "Unexpected argument 'x'; see --help" },
];

describe('parseFlags', () => {
  for (const { name, argv, positionals = false, says } of wrong) {
    it(`says in one line what is wrong: ${name}`, () => {
      assert.throws(() => parseFlags(argv, options, 'see --help', positionals), {
        code: 'config_invalid',
        message: says,
      });
    });
  }

  it('gives values and arguments', () => {
    const { values, positionals } = parseFlags(['-f', '--key-file=-x', 'a'], options, 'see --help', true);
    assert.deepEqual([values['key-file'], values.force, positionals], ['-x', true, ['a']]);
  });
});

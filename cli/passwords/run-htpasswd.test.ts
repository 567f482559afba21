import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compareSync } from 'bcryptjs';
import { parseHtpasswd } from '../../policy/passwords/htpasswd.ts';
import { runHtpasswd } from './run-htpasswd.ts';

async function run(argv: readonly string[], input: string | Uint8Array) {
  const out: string[] = [];
  const err: string[] = [];
  async function* stdin() {
    yield typeof input === 'string' ? Buffer.from(input) : input;
  }
  const io = {
    stdout: { write: (text: string) => out.push(text) },
    stderr: { write: (text: string) => err.push(text) },
  };
  const code = await runHtpasswd(argv, { ...io, stdin: stdin(), now: () => 0 });
  return { code, out: out.join(''), err: err.join('') };
}

describe('portcullis htpasswd', () => {
  for (const [name, input] of [
    ['as it comes', 'correct horse'],
    ['without the line break of echo', 'correct horse\n'],
  ] as const) {
    it(`takes the password ${name}, and prints a line that the token service takes`, async () => {
      const { code, out, err } = await run(['ann'], input);
      assert.deepEqual([code, err], [0, '']);
      const read = parseHtpasswd(out, null);
      assert.ok(read.ok);
      assert.equal(compareSync('correct horse', read.users.hashes['ann'] ?? ''), true);
    });
  }

  const refused: readonly (readonly [string, readonly string[], string | Uint8Array, RegExp])[] = [
    ['no name', [], 'secret', /one NAME/],
    ['a password as an argument', ['ann', 'secret'], '', /on standard input/],
    ['a colon in the name', ['a:b'], 'secret', /without a colon/],
    ['a line break in the name', ['a\nb'], 'secret', /control character/],
    ['a cost that is too low', ['ann', '--cost', '10'], 'secret', /--cost must be 12/],
    ['an unknown flag', ['ann', '--rounds=12'], 'secret', /--rounds.*--help/],
    ['no password', ['ann'], '\n', /empty/],
    ['73 bytes', ['ann'], 'x'.repeat(73), /at most 72 bytes/],
    ['a file', ['ann'], 'x'.repeat(5000), /longer than 4 KiB/],
    ['no UTF-8', ['ann'], Buffer.from([0xff]), /not UTF-8/],
  ];
  for (const [name, argv, input, reason] of refused) {
    it(`${name}: exit code 2 and why`, async () => {
      const { code, out, err } = await run(argv, input);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, reason);
      assert.ok(!err.includes('secret'));
    });
  }
});

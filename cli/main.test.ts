import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { main } from './main.ts';

async function run(...argv: string[]) {
  let [stdout, stderr] = ['', ''];
  const code = await main(argv, {
    stdin: Readable.from([]),
    stdout: {
      write: (text: string | Uint8Array, done?: () => void) => {
        stdout += text;
        done?.();
      },
    },
    stderr: { write: (text) => (stderr += text) },
    now: () => 0,
  });
  return { code, stdout, stderr };
}

describe('portcullis', () => {
  it('says what it can do', async () => {
    const { code, stdout } = await run('--help');
    assert.equal(code, 0);
    assert.match(stdout, /^ {2}local .*\n {2}token /m);
  });

  it('says which version it is', async () => {
    assert.match((await run('--version')).stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it('names its commands when it is given another', async () => {
    const { code, stdout, stderr } = await run('locla');
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /unknown command "locla"; did you mean local\?\nThere are: local, token/);
    assert.match((await run()).stderr, /no command given/);
    assert.equal((await run('toString')).code, 2);
  });

  it('says everything that is wrong with the flags of local', async () => {
    const { code, stderr } = await run(
      'local',
      '--listen',
      '8080',
      '--upstream',
      'https://x',
      '--redis',
      'http://u:hunter2@x',
    );
    assert.equal(code, 2);
    assert.match(stderr, /--policies is required/);
    assert.match(stderr, /--upstream must be an http:\/\/ URL/);
    assert.match(stderr, /--listen must be HOST:PORT/);
    assert.match(stderr, /--redis must be a URL/);
    assert.doesNotMatch(stderr, /hunter2/);
  });
});

const documentation = readFileSync(new URL('../docs/cli.md', import.meta.url), 'utf8');

describe('docs/cli.md', () => {
  const commands =
    'local, token, escrow, status, blocks, protect, explain, test, generate, keys, keys restore, rotate, revoke'.split(
      ', ',
    );
  for (const command of commands) {
    it(`has every flag of ${command} --help, in its order and with its value, and no other`, async () => {
      const help = [
        ...(await run(...command.split(' '), '--help')).stdout.matchAll(
          /^ {2}((?:-[a-zA-Z], )?--[a-z-]+( [A-Z:]+)?)/gm,
        ),
      ].map(([, flag]) => flag);
      const section = documentation.split(/^## /m).find((part) => part.startsWith(`portcullis ${command}\n`)) ?? '';
      const documented = [...section.matchAll(/^\| `((?:-[a-zA-Z], )?--[^`]+)` +\|/gm)].map(([, flag]) => flag);
      assert.ok(help.length > 3);
      assert.deepEqual(documented, help);
    });
  }
});

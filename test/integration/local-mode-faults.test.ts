import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFile, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const MAIN = join(import.meta.dirname, '../../cli/main.ts');
const EXAMPLES = join(import.meta.dirname, '../../examples/policies');
const WAIT_MS = 30_000;

/** `portcullis local` as a process of its own. */
interface LocalProcess {
  readonly child: ChildProcess;
  readonly exitCode: Promise<number | null>;
  output(): string;
  errors(): string;
}

function startLocal(directory: string, flags: readonly string[]): LocalProcess {
  const given = [
    '--policies',
    join(directory, 'policies'),
    '--upstream',
    'http://127.0.0.1:9',
    '--admin',
    '127.0.0.1:0',
  ];
  const child = spawn(process.execPath, [MAIN, 'local', ...given, ...flags]);
  let [output, errors] = ['', ''];
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (errors += data));
  const exitCode = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { child, exitCode, output: () => output, errors: () => errors };
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline; await sleep(50)) if (await holds()) return;
  assert.fail(`never: ${what}`);
}

describe('local mode and its surroundings', { timeout: 60_000 }, () => {
  let directory = '';
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'portcullis-faults-'));
    await cp(EXAMPLES, join(directory, 'policies'), { recursive: true });
    await writeFile(join(directory, 'file'), '');
  });
  after(() => rm(directory, { recursive: true }));

  it('goes on serving and reloading when nobody reads its messages any more', async () => {
    const local = startLocal(directory, ['--listen', '127.0.0.1:0', '--state', join(directory, 'state')]);
    try {
      await eventually('started', () => local.errors().includes('traffic'));
      const origin = /traffic +(http:\S+)/.exec(local.errors())?.[1] ?? '';
      local.child.stderr?.destroy();
      await appendFile(join(directory, 'policies/access.yaml'), '# changed\n');
      await appendFile(join(directory, 'policies/limits.yaml'), '    - {name: more, key: [ip], rate: 100/1m}\n');
      await eventually('reloaded', () => /"serial":[0-9]+,"mode":"Enforce","limits":8/.test(local.output()));
      // What was said after the reload has met a closed pipe by now.
      await sleep(200);
      assert.equal((await fetch(`${origin}/orders`)).status, 401);
    } finally {
      local.child.kill();
    }
    assert.equal(await local.exitCode, 0);
  });

  for (const [name, flags, message] of [
    [
      'a state directory that is a file',
      ['--state', 'DIR/file'],
      /^portcullis local: the state directory .*--state\n$/,
    ],
    ['one below a file', ['--state', 'DIR/file/state'], /^portcullis local: the state directory .*--state\n$/],
    [
      'an address of no host',
      ['--state', 'DIR/s', '--listen', 'no-such-host.invalid:1'],
      /cannot listen on .*--listen/,
    ],
  ] as const) {
    it(`${name} is refused with one line that says what to do`, async () => {
      const local = startLocal(
        directory,
        flags.map((flag) => flag.replace('DIR', directory)),
      );
      assert.equal(await local.exitCode, 2, local.errors());
      assert.match(local.errors(), message);
    });
  }
});

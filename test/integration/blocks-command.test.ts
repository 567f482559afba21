import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, it } from 'node:test';
import { runBlocks } from '../../cli/blocks/run-blocks.ts';
import { SIDECAR_PATHS } from '../../runtime/sidecar-arguments.ts';
import { blocksCommand } from '../../sidecar/commands/blocks.ts';
import { explainCommand } from '../../sidecar/commands/explain.ts';
import { ask, closeAsking } from '../support/ask.ts';
import { type SidecarUnderTest, startSidecarUnderTest } from '../support/sidecar-under-test.ts';

const HOUR = 3_600_000;
let sidecar: SidecarUnderTest;
let root: string;
let socket: string;

before(async () => {
  root = mkdtempSync(join(tmpdir(), 'portcullis-root-'));
  process.env['PORTCULLIS_ROOT'] = root;
  socket = join(root, SIDECAR_PATHS.controlSocket);
  mkdirSync(dirname(socket), { recursive: true });
  sidecar = await startSidecarUnderTest({
    limits: {
      clientIp: { trustedHops: 1, trustedProxies: [] },
      threats: { scanning: { statuses: [404], count: 2, withinMs: HOUR, blockMs: HOUR } },
    },
    controlSocket: socket,
  });
  sidecar.upstream.behave((_, client) => void client.write('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n'));
});
after(async () => {
  delete process.env['PORTCULLIS_ROOT'];
  closeAsking();
  await sidecar.stop();
  rmSync(root, { recursive: true });
});

const scan = async (from: string): Promise<void> => {
  for (let i = 0; i < 2; i++) await ask(sidecar.port, { path: '/x', from });
};
type Ran = readonly [code: number, stdout: string, stderr: string];
const run = async (command: typeof blocksCommand, ...argv: string[]): Promise<Ran> => {
  const [stdout, stderr] = [[], []] as [string[], string[]];
  const code = await command(argv, {
    stdout: { write: (text) => stdout.push(text) },
    stderr: { write: (text) => stderr.push(text) },
  });
  return [code, stdout.join(''), stderr.join('')];
};
const sidecarBlocks = (...argv: string[]) => run(blocksCommand, ...argv);
const blocks = (...argv: string[]) =>
  run((args, io) => runBlocks(args, { ...io, now: Date.now }), '--control', socket, ...argv);

it('sidecar blocks: what is in force, as JSON', async () => {
  await scan('192.0.2.1');
  const [code, text, errors] = await sidecarBlocks();
  assert.deepEqual([code, errors], [0, '']);
  const { blocks: rows, ...report } = JSON.parse(text);
  assert.deepEqual(report, { policy: 'test/limits', mode: 'Enforce', store: 'memory' });
  assert.equal(rows.length, 1);
  const { since, until, ...row } = rows[0];
  assert.deepEqual(row, { measure: 'Block', subject: 'ip=192.0.2.1', reason: 'scanning' });
  assert.equal(Date.parse(until) - Date.parse(since), HOUR);
});

it('explain says that a client is blocked', async () => {
  const [, text] = await run(explainCommand, 'GET', '/x', '--header', 'X-Forwarded-For: 192.0.2.1');
  assert.match(text, /blocklist: blocked\n {2}scanning: ip=192\.0\.2\.1\n/);
  assert.match(text, /result: 429 blocked/);
  const [, other] = await run(explainCommand, 'GET', '/x', '--header', 'X-Forwarded-For: 192.0.2.2');
  assert.match(other, /blocklist: pass/);
});

it('sidecar blocks clear: one, then all', async () => {
  await scan('192.0.2.1');
  await scan('192.0.2.2');
  await scan('192.0.2.3');
  assert.deepEqual(await sidecarBlocks('clear', 'ip=192.0.2.1', 'ip=192.0.2.9'), [
    0,
    '{"cleared":["ip=192.0.2.1"],"everywhere":true}\n',
    '',
  ]);
  assert.equal((await ask(sidecar.port, { path: '/x', from: '192.0.2.1' })).status, 404);
  assert.equal((await ask(sidecar.port, { path: '/x', from: '192.0.2.2' })).status, 429);
  const [, text] = await sidecarBlocks('clear', '--all');
  assert.deepEqual(JSON.parse(text).cleared.toSorted(), ['ip=192.0.2.2', 'ip=192.0.2.3']);
  assert.equal(JSON.parse((await sidecarBlocks())[1]).blocks.length, 0);
  assert.equal(sidecar.log().filter((line) => line.includes('"event_type":"blocks_cleared"')).length, 2);
});

it('portcullis blocks --control: for people, and for programs', async () => {
  await scan('192.0.2.4');
  const [code, text] = await blocks();
  assert.equal(code, 0);
  assert.match(
    text,
    /^SUBJECT +MEASURE +REASON +ENDS +POLICY +PODS\nip=192\.0\.2\.4 +Block +scanning +in 59 minutes +test\/limits +all\n/,
  );
  assert.match(text, /each pod blocks by itself/);
  assert.equal(JSON.parse((await blocks('-o', 'json'))[1])[0].subject, 'ip=192.0.2.4');
  assert.deepEqual(await blocks('clear', 'ip=192.0.2.4'), [0, 'cleared ip=192.0.2.4\n', '']);
  assert.deepEqual(await blocks('clear', '--all'), [0, 'nothing to clear\n', '']);
});

const mistakes: readonly (readonly [argv: readonly string[], message: RegExp])[] = [
  [['clear'], /write what to clear, as the list shows it \(such as ip=192\.0\.2\.7\), or --all/],
  [['clear', '192.0.2.1'], /"192\.0\.2\.1" is no subject; write one as the list shows it/],
  [['--all'], /--all goes with clear/],
  [['deploy/orders'], /write svc\/NAME or pod\/NAME, not "deploy\/orders"/],
  [['clear', '--all', 'ip=a', 'svc/b'], /write either what to clear or --all/],
  [['-o', 'yaml'], /-o must be json/],
  [['--al'], /--all/],
];
for (const [argv, message] of mistakes) {
  it(`portcullis blocks ${argv.join(' ')}`, async () => {
    const [code, stdout, stderr] = await blocks(...argv);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, message);
  });
}

it('nobody listens', async () => {
  const [code, , errors] = await run((args, io) => runBlocks(args, { ...io, now: Date.now }), '--control', '/nowhere');
  assert.equal(code, 2);
  assert.equal(errors, 'portcullis blocks: no process answers at /nowhere (ENOENT)\n');
});

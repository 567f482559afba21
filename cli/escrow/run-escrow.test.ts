import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { decrypt, generateKey, readMessage, readPrivateKey } from 'openpgp';
import { runEscrow } from './run-escrow.ts';

const scratch = await mkdtemp(join(tmpdir(), 'portcullis-run-escrow-'));
after(() => rm(scratch, { recursive: true }));

const { publicKey, privateKey } = await generateKey({ userIDs: [{ name: 'a' }], format: 'armored' });
const [key, secret, file] = ['key.asc', 'secret.asc', 'backup'].map((name) => join(scratch, name)) as [
  string,
  string,
  string,
];
await writeFile(key, publicKey);
await writeFile(secret, privateKey);
await writeFile(file, 'one\r\ntwo\n');

async function run(...argv: string[]) {
  let [stdout, stderr] = ['', ''];
  const code = await runEscrow(argv, {
    stdin: Readable.from([Buffer.from([0, 0xff]), Buffer.from('\n')]),
    stdout: {
      write: (data, done) => {
        stdout += data;
        done?.();
      },
    },
    stderr: { write: (text) => (stderr += text) },
    now: Date.now,
  });
  return { code, stdout, stderr };
}

async function opened(armoredMessage: string): Promise<Buffer> {
  const decryptionKeys = await readPrivateKey({ armoredKey: privateKey });
  const message = await readMessage({ armoredMessage });
  const { data } = await decrypt({ message, decryptionKeys, format: 'binary' });
  return Buffer.from(data as Uint8Array);
}

test('FILE.asc, for its owner alone; a file that is there stays unless --force replaces it', async () => {
  const first = await run('encrypt', file, '--recipient', key);
  assert.deepEqual([first.code, first.stdout], [0, '']);
  assert.match(first.stderr, /backup\.asc: encrypted to [0-9A-F]{40}; gpg --decrypt reads it\n$/);
  const written = await readFile(`${file}.asc`, 'utf8');
  assert.equal(String(await opened(written)), 'one\r\ntwo\n');
  assert.equal((await stat(`${file}.asc`)).mode & 0o777, 0o600);

  const second = await run('encrypt', file, '--recipient', key);
  assert.equal(second.code, 2);
  assert.match(second.stderr, /EEXIST.*; name another with --output, or replace it with --force\n$/);
  assert.equal(await readFile(`${file}.asc`, 'utf8'), written);

  const third = await run('encrypt', file, '--recipient', key, '--force');
  assert.equal(third.code, 0);
  assert.notEqual(await readFile(`${file}.asc`, 'utf8'), written);
});

test('standard input to standard output, byte for byte', async () => {
  const { code, stdout, stderr } = await run('encrypt', '-', '--recipient', key);
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(await opened(stdout), Buffer.from([0, 0xff, 0x0a]));
});

const refused: readonly { name: string; argv: readonly string[]; says: RegExp }[] = [
  { name: 'no command', argv: [], says: /no command given; see portcullis escrow --help/ },
  { name: 'another command', argv: ['decrypt'], says: /unknown command "decrypt"; write encrypt/ },
  { name: 'no file', argv: ['encrypt', '--recipient', key], says: /name one FILE, or - for standard input/ },
  { name: 'two files', argv: ['encrypt', 'a', 'b', '--recipient', key], says: /name one FILE/ },
  { name: 'no recipient', argv: ['encrypt', file], says: /name who can decrypt it: --recipient KEYFILE/ },
  { name: 'an unknown flag', argv: ['encrypt', file, '--to', key], says: /Unknown option '--to'/ },
  {
    name: 'no such recipient',
    argv: ['encrypt', file, '--recipient', `${key}x`],
    says: /--recipient cannot be read: ENOENT/,
  },
  {
    name: 'a private key, though another is good',
    argv: ['encrypt', file, '--recipient', key, '--recipient', secret],
    says: /--recipient \S+secret\.asc is a PRIVATE key/,
  },
  { name: 'no such file', argv: ['encrypt', join(scratch, 'none'), '--recipient', key], says: /ENOENT.*none/ },
  {
    name: 'a directory',
    argv: ['encrypt', scratch, '--recipient', key],
    says: new RegExp(`escrow: ${scratch}: EISDIR`),
  },
  {
    name: 'a folder that is not there',
    argv: ['encrypt', file, '--recipient', key, '-o', `${key}/x`],
    says: /ENOTDIR/,
  },
];

for (const { name, argv, says } of refused) {
  test(`refused: ${name}; nothing is written`, async () => {
    const before = await readdir(scratch);
    const { code, stdout, stderr } = await run(...argv);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, says);
    assert.match(stderr, /^portcullis escrow: [^\n]+\n$/);
    assert.deepEqual(await readdir(scratch), before);
  });
}

test('an input that breaks off leaves what was there before, and nothing else', async () => {
  const output = join(scratch, 'kept.asc');
  await writeFile(output, 'kept');
  await chmod(output, 0o644);
  const before = await readdir(scratch);
  const code = runEscrow(['encrypt', '-', '--recipient', key, '--output', output, '--force'], {
    stdin: (async function* () {
      yield Buffer.alloc(100_000);
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' });
    })(),
    stdout: { write: () => assert.fail('written') },
    stderr: { write: () => {} },
    now: Date.now,
  });
  assert.equal(await code, 2);
  assert.equal(await readFile(output, 'utf8'), 'kept');
  assert.deepEqual(await readdir(scratch), before);
});

test('a full disk behind standard output is no success', async () => {
  let stderr = '';
  const code = await runEscrow(['encrypt', file, '--recipient', key, '--output', '-'], {
    stdin: Readable.from([]),
    stdout: {
      write: (_, done) => done?.(Object.assign(new Error('ENOSPC: no space left on device'), { syscall: 'write' })),
    },
    stderr: { write: (text) => (stderr += text) },
    now: Date.now,
  });
  assert.deepEqual([code, stderr], [2, 'portcullis escrow: ENOSPC: no space left on device\n']);
});

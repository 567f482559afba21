import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, describe, it, test } from 'node:test';
import { formatFernetKey, parseFernetKey } from '../../policy/fernet/fernet-key.ts';
import { decryptFernet, encryptFernet } from '../../policy/fernet/fernet-token.ts';
import { COMMAND_HELP } from './help.ts';
import { runFernet } from './run-fernet.ts';

const NOW = 1_800_000_000_000;
const scratch = await mkdtemp(join(tmpdir(), 'portcullis-fernet-'));
after(() => rm(scratch, { recursive: true }));

const [NEW, OLD, STRANGE] = [1, 2, 3].map((fill) => formatFernetKey(Buffer.alloc(32, fill))) as [
  string,
  string,
  string,
];

async function keyFile(name: string, content: string, mode = 0o600): Promise<string> {
  const path = join(scratch, name);
  await writeFile(path, content, { mode });
  await chmod(path, mode);
  return path;
}

const both = await keyFile('both', `# this quarter\n${NEW}\n\n# before\n${OLD}\n`);
const newOnly = await keyFile('new', NEW);
const oldOnly = await keyFile('old', `${OLD}\n`);
const open = await keyFile('open', NEW, 0o640);
const broken = await keyFile('broken', `${NEW}\n${OLD.slice(1)}\n`);
const empty = await keyFile('empty', '# none yet\n');

function cut(bytes: Buffer, length: number): Buffer[] {
  return Array.from({ length: bytes.length / length + 1 }, (_, at) => bytes.subarray(at * length, (at + 1) * length));
}

async function run(argv: readonly string[], input: string | Buffer = '') {
  const [out, err]: [Buffer[], string[]] = [[], []];
  const bytes = Buffer.from(input);
  const code = await runFernet(argv, {
    // As a pipe brings it: cut anywhere.
    stdin: Readable.from(cut(bytes, Math.max(100, bytes.length >> 6))),
    stdout: {
      write(data, done) {
        out.push(Buffer.from(data));
        done?.();
      },
    },
    stderr: { write: (text) => err.push(text) },
    now: () => NOW,
  });
  return { code, out: Buffer.concat(out), text: Buffer.concat(out).toString('latin1'), err: err.join('') };
}

function token(key: string, plaintext: string, ageMs = 0): string {
  const parsed = parseFernetKey(key);
  assert.ok(parsed.ok);
  return encryptFernet(parsed.value, Buffer.from(plaintext), { iv: Buffer.alloc(16, 9), now: NOW - ageMs });
}

function opened(key: string, text: string) {
  const parsed = parseFernetKey(key);
  assert.ok(parsed.ok);
  const result = decryptFernet([parsed.value], text);
  return 'refused' in result ? result.refused : { plaintext: String(result.plaintext), ageMs: NOW - result.issuedAt };
}

const twice = (text: string) => Buffer.from(text).toString('base64');
const once = (text: string) => Buffer.from(text, 'base64').toString();

test('keygen prints one key, another each time', async () => {
  const keys = [await run(['keygen']), await run(['keygen'])];
  for (const { code, text, err } of keys) {
    assert.deepEqual([code, err], [0, '']);
    assert.match(text, /^[\w-]{43}=\n$/);
    assert.ok(parseFernetKey(text.trim()).ok);
  }
  assert.notEqual(keys[0]?.text, keys[1]?.text);
});

describe('one message', () => {
  const binary = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)), Buffer.from('\r\n\n')]);

  for (const flags of [[], ['--double-base64']]) {
    it(`every byte comes back ${flags.join('')}`, async () => {
      for (const plaintext of [binary, Buffer.alloc(0)]) {
        const encrypted = await run(['encrypt', '--key-file', both, ...flags], plaintext);
        assert.deepEqual([encrypted.code, encrypted.err], [0, '']);
        assert.match(encrypted.text, flags.length === 0 ? /^gAAAAA[\w-]+=*\n$/ : /^Z0FBQUFB[a-zA-Z0-9]+=*\n$/);
        const decrypted = await run(['decrypt', '--key-file', newOnly, ...flags], encrypted.text);
        assert.deepEqual([decrypted.code, decrypted.out], [0, plaintext]);
        assert.equal(decrypted.err, 'portcullis fernet decrypt: decrypted with key 1 of 1\n');
      }
    });
  }

  it('two tokens of one plaintext differ', async () => {
    const tokens = [1, 2].map(() => run(['encrypt', '--key-file', newOnly], 'x'));
    const [a, b] = await Promise.all(tokens);
    assert.notEqual(a?.text, b?.text);
  });

  it('is encrypted now', async () => {
    const { text } = await run(['encrypt', '--key-file', newOnly], 'x');
    assert.deepEqual(opened(NEW, text.trim()), { plaintext: 'x', ageMs: 0 });
  });

  for (const [name, wrap, unwrap, flags] of [
    ['plain', String, String, []],
    ['in base64 once more', twice, once, ['--double-base64']],
  ] as const) {
    it(`is rotated, ${name}: under the first key alone, with its timestamp`, async () => {
      const { code, text, err } = await run(['rotate', '--key-file', both, ...flags], wrap(token(OLD, 'x', 9000)));
      assert.deepEqual([code, err], [0, 'portcullis fernet rotate: decrypted with key 2 of 2\n']);
      assert.deepEqual(opened(NEW, unwrap(text.trim())), { plaintext: 'x', ageMs: 9000 });
      assert.equal(opened(OLD, unwrap(text.trim())), 'not_authentic');
    });
  }

  const refused: readonly (readonly [name: string, argv: readonly string[], input: string, says: RegExp])[] = [
    ['of a strange key', ['decrypt'], token(STRANGE, 'x'), /no key of the list made this token, or it was altered/],
    ['altered', ['rotate'], token(OLD, 'x').replace(/...=/, 'AAA='), /no key of the list made/],
    ['no token', ['decrypt'], 'hello', /begin with gAAAAA and are base64url with padding/],
    ['nothing', ['decrypt'], '', /not a Fernet token/],
    ['two line breaks behind it', ['decrypt'], `${token(NEW, 'x')}\n\n`, /several lines; add --lines/],
    ['two tokens', ['rotate'], `${token(NEW, 'x')}\n${token(NEW, 'y')}\n`, /several lines; add --lines/],
    ['base64 twice', ['decrypt'], twice(token(NEW, 'x')), /begin with Z0FBQUFB want --double-base64/],
    ['base64 once', ['rotate', '--double-base64'], token(NEW, 'x'), /leave --double-base64 out/],
    ['too old', ['decrypt', '--ttl', '90s'], token(NEW, 'x', 91_000), /older than --ttl/],
    ['from the future', ['decrypt', '--ttl', '90s'], token(NEW, 'x', -61_000), /made more than 60s from now/],
  ];

  for (const [name, argv, input, says] of refused) {
    it(`refused with exit code 1, and nothing written: ${name}`, async () => {
      const { code, text, err } = await run([...argv, '--key-file', both], input);
      assert.deepEqual([code, text], [1, '']);
      assert.match(err, says);
      assert.match(err, /^portcullis fernet \w+: [^\n]*\n$/);
    });
  }

  it('refused when it is too long to be held in a string as a token in base64 once more', async () => {
    const { code, text, err } = await run(['encrypt', '--key-file', both], Buffer.alloc(128 * 2 ** 20 + 1));
    assert.deepEqual([code, text], [1, '']);
    assert.match(err, /longer than 134217728 bytes/);
  });

  it('of any age without --ttl, and with a ttl that is long enough', async () => {
    for (const flags of [[], ['--ttl', '91s']]) {
      assert.equal((await run(['decrypt', '--key-file', both, ...flags], token(OLD, 'x', 91_000))).text, 'x');
    }
  });
});

describe('lines', () => {
  const lines = (action: string, input: string, ...flags: string[]) =>
    run([action, '--key-file', both, '--lines', ...flags], input);

  it('rotate: each by itself; what is refused is named and written as it was, and so are empty lines and endings', async () => {
    const bad = token(STRANGE, 'lost?');
    const input = [
      `${token(OLD, 'a', 1000)}\n`,
      `${bad}\r\n`,
      '\n',
      `${token(NEW, 'b')}\r\n`,
      'junk\n',
      token(OLD, 'c'),
    ];
    const { code, text, err } = await lines('rotate', input.join(''));
    assert.equal(code, 1);
    const output = text.split(/(?<=\n)/);
    assert.deepEqual(
      [0, 3, 5].map((index) => opened(NEW, output[index]!.trimEnd())),
      [
        { plaintext: 'a', ageMs: 1000 },
        { plaintext: 'b', ageMs: 0 },
        { plaintext: 'c', ageMs: 0 },
      ],
    );
    assert.deepEqual([output[1], output[2], output[4]], [`${bad}\r\n`, '\n', 'junk\n']);
    assert.deepEqual([output.length, output[3]?.endsWith('\r\n'), output[5]?.endsWith('\n')], [6, true, false]);
    assert.deepEqual(err.split('\n').slice(1), [
      'portcullis fernet rotate: line 5: not a Fernet token: these begin with gAAAAA and are base64url with padding (those that begin with Z0FBQUFB want --double-base64)',
      'portcullis fernet rotate: decrypted 1 with key 1, 2 with key 2; 2 refused, 1 empty',
      '',
    ]);
    assert.match(err, /^portcullis fernet rotate: line 2: no key of the list/);
  });

  it('rotate: nothing refused is exit code 0, and then no token is left for the old key', async () => {
    const input = ['a', 'b', 'c'].map((plaintext) => `${token(OLD, plaintext)}\n`).join('');
    const first = await lines('rotate', input);
    assert.deepEqual(
      [first.code, first.err],
      [0, 'portcullis fernet rotate: decrypted 0 with key 1, 3 with key 2; 0 refused, 0 empty\n'],
    );
    const second = await lines('rotate', first.text);
    assert.equal(second.err, 'portcullis fernet rotate: decrypted 3 with key 1, 0 with key 2; 0 refused, 0 empty\n');
    assert.equal((await run(['decrypt', '--lines', '--key-file', newOnly], second.text)).text, 'a\nb\nc\n');
  });

  it('decrypt: what is refused becomes an empty line, so that the others keep their places', async () => {
    const input = `${token(NEW, 'a')}\n${token(STRANGE, 'b')}\n\n${token(OLD, 'c\nd')}\n${token(OLD, 'e')}\n`;
    const { code, text, err } = await lines('decrypt', input);
    assert.deepEqual([code, text], [1, 'a\n\n\n\ne\n']);
    assert.match(err, /line 2: no key.*\n.*line 4: what it holds has several lines; decrypt it by itself.*\n/);
    assert.match(err, /decrypted 1 with key 1, 1 with key 2; 2 refused, 1 empty\n$/);
  });

  for (const flags of [[], ['--double-base64']]) {
    it(`encrypt: each line a token, and back ${flags.join('')}`, async () => {
      const plain = 'a\n\n\u00e4\r\nlast';
      const encrypted = await lines('encrypt', plain, ...flags);
      assert.deepEqual([encrypted.code, encrypted.err], [0, '']);
      assert.equal(encrypted.text.split('\n').length, 4);
      const decrypted = await lines('decrypt', encrypted.text, ...flags);
      assert.equal(decrypted.out.toString(), plain);
    });
  }
});

test('a key file that others may open is warned of, and used', async () => {
  const { code, text, err } = await run(['decrypt', '--key-file', open], token(NEW, 'x'));
  assert.deepEqual([code, text], [0, 'x']);
  assert.match(err, /^portcullis fernet decrypt: warning: .* \(mode 0640\); chmod 600 .*open\n/);
});

const wrong: readonly (readonly [name: string, argv: readonly string[], says: RegExp])[] = [
  ['no command', [], /^portcullis fernet: no command given; there are keygen, encrypt, decrypt, rotate; see --help\n$/],
  ['another command', ['decrpyt'], /unknown command "decrpyt"; did you mean decrypt\?/],
  ['a name that objects have', ['toString'], /unknown command "toString"; there are/],
  ['no keys', ['encrypt'], /^portcullis fernet encrypt: missing --key-file FILE or --secret NS\/NAME/],
  ['keys from two places', ['decrypt', '--key-file', both, '--secret', 'a/b'], /exclude each other/],
  ['an unknown flag', ['rotate', '--key', both], /Unknown option '--key'/],
  ['a stray word', ['encrypt', '--key-file', both, 'file'], /Unexpected argument 'file'/],
  ['a flag of others', ['keygen', '--lines'], /Unknown option '--lines'/],
  ['a ttl to rotate', ['rotate', '--key-file', both, '--ttl', '1h'], /--ttl is for decrypt; rotate looks at no age/],
  [
    'no duration',
    ['decrypt', '--key-file', both, '--ttl', '90'],
    /--ttl must be a duration such as 90s, 24h or 1h30m, not "90"/,
  ],
  ['no such file', ['encrypt', '--key-file', join(scratch, 'none')], /--key-file cannot be read: ENOENT/],
  ['a key for a file', ['encrypt', '--key-file', OLD], /--key-file cannot be read: ENOENT.*'\(a key\)'/],
  ['a key for a word', ['encrypt', OLD], /Unexpected argument '\(a key\)'/],
  ['a key for a command', [OLD], /unknown command "\(a key\)"/],
  ['a directory', ['encrypt', '--key-file', scratch], /--key-file cannot be read: EISDIR/],
  ['no key in the file', ['encrypt', '--key-file', empty], /empty: there is no key in it: write 32 bytes/],
  ['a broken key', ['encrypt', '--key-file', broken], /broken: line 2: this is no Fernet key: write 32 bytes/],
  ['a path for a Secret', ['encrypt', '--secret', 'a/b/c'], /--secret must be NAMESPACE\/NAME or NAME, not "a\/b\/c"/],
  ['no kubeconfig', ['encrypt', '--secret', 'a/b', '--kubeconfig', join(scratch, 'none')], /kubeconfig cannot be read/],
];

for (const [name, argv, says] of wrong) {
  test(`called wrongly is exit code 2, one line and no key: ${name}`, async () => {
    const { code, text, err } = await run(argv, token(OLD, 'x'));
    assert.deepEqual([code, text], [2, '']);
    assert.match(err, says);
    assert.match(err, /^portcullis fernet[^\n]*\n$/);
    for (const key of [NEW, OLD, OLD.slice(1)]) assert.ok(!err.includes(key));
  });
}

for (const argv of [['keygen'], ['encrypt', '--key-file', both], ['encrypt', '--lines', '--key-file', both]]) {
  test(`a full disk is no success: ${argv.filter((word) => word !== both).join(' ')}`, async () => {
    const err: string[] = [];
    const code = await runFernet(argv, {
      stdin: Readable.from([Buffer.from('x')]),
      stdout: {
        write: (_, done) => done?.(Object.assign(new Error('ENOSPC: no space left on device'), { syscall: 'write' })),
      },
      stderr: { write: (text) => err.push(text) },
      now: () => NOW,
    });
    assert.equal(code, 2);
    assert.match(err.join(''), /^portcullis fernet \w+: ENOSPC: no space left on device\n$/);
  });
}

test('what the old key alone reads, the new one alone does not', async () => {
  const { code } = await run(['decrypt', '--key-file', newOnly], token(OLD, 'x'));
  assert.equal(code, 1);
  assert.equal((await run(['decrypt', '--key-file', oldOnly], token(OLD, 'x'))).text, 'x');
});

describe('help', () => {
  const documentation = readFileSync(new URL('../../docs/fernet.md', import.meta.url), 'utf8');
  const flagsOf = (text: string) =>
    [...text.matchAll(/^ {2}((?:-[a-z], )?--[a-z0-9-]+( [A-Z/]+)?)/gm)].map(([, flag = '']) => flag);

  it('names the commands', async () => {
    const { code, text } = await run(['--help']);
    assert.equal(code, 0);
    for (const command of Object.keys(COMMAND_HELP)) assert.match(text, new RegExp(`^  ${command} `, 'm'));
  });

  for (const command of Object.keys(COMMAND_HELP)) {
    it(`of ${command}: lists each flag that it takes, and nothing is read`, async () => {
      const { code, text, err } = await run([command, '--help']);
      assert.deepEqual([code, err], [0, '']);
      for (const flag of flagsOf(text)) {
        const [name = '', value] = flag.replace('-n, ', '').split(' ');
        const argv = [command, ...(value === undefined ? [name] : [name, 'x']), '--help'];
        assert.equal((await run(argv)).code, 0, flag);
      }
    });
  }

  it('has every flag of docs/fernet.md, in its order and with its value, and no other', async () => {
    const documented = [...documentation.matchAll(/^\| `((?:-[a-z], )?--[^`]+)` +\|/gm)].map(([, flag = '']) => flag);
    assert.ok(documented.length > 5);
    assert.deepEqual(flagsOf((await run(['decrypt', '--help'])).text), documented);
  });
});

import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { runFernet } from '../../cli/fernet/run-fernet.ts';
import { type FernetKey, formatFernetKey, parseFernetKeys } from '../../policy/fernet/fernet-key.ts';
import { decryptFernet, encryptFernet, rotateFernet } from '../../policy/fernet/fernet-token.ts';
import { GOOD_VECTOR, INVALID_VECTORS, VECTOR_KEY, VECTOR_TTL_MS } from '../../policy/fernet/testing/spec-vectors.ts';
import { runCommand } from '../cluster/program.ts';
import { skipOrFail } from '../cluster/skip-or-fail.ts';
import { pythonWith } from '../support/python-venv.ts';

const found = await pythonWith(['cryptography==50.0.2']);
const scratch = await mkdtemp(join(tmpdir(), 'portcullis-fernet-python-'));
after(() => rm(scratch, { recursive: true }));

/** What is asked of `cryptography`; `keys` are texts, bytes are base64, times epoch seconds. */
type Question = { readonly keys: readonly string[] } & (
  | { readonly ask: 'encrypt'; readonly data: string; readonly at: number }
  | { readonly ask: 'decrypt' | 'rotate' | 'time'; readonly token: string }
  | { readonly ask: 'decrypt'; readonly token: string; readonly ttl: number; readonly at: number }
  /** As the helper of requirement 002 does. */
  | { readonly ask: 'encrypt twice'; readonly data: string }
  | { readonly ask: 'decrypt twice'; readonly token: string }
);

/** Answers each question of the JSON list on standard input; null: InvalidToken. */
const PROGRAM = `
import base64, json, sys
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
def text(data): return base64.b64encode(data).decode()
def answer(q):
    f = MultiFernet([Fernet(key) for key in q["keys"]])
    ask = q["ask"]
    try:
        if ask == "encrypt": return f.encrypt_at_time(base64.b64decode(q["data"]), q["at"]).decode()
        if ask == "encrypt twice": return base64.b64encode(f.encrypt(base64.b64decode(q["data"]))).decode()
        if ask == "decrypt twice": return text(f.decrypt(base64.b64decode(q["token"])))
        if ask == "rotate": return f.rotate(q["token"]).decode()
        if ask == "time": return f.extract_timestamp(q["token"])
        if "ttl" in q: return text(f.decrypt_at_time(q["token"], q["ttl"], q["at"]))
        return text(f.decrypt(q["token"]))
    except InvalidToken: return None
print(json.dumps([answer(q) for q in json.load(sys.stdin)]))
`;

/** A test against the real library; skipped where it cannot be had. */
function pythonTest(
  name: string,
  run: (ask: (questions: readonly Question[]) => Promise<readonly unknown[]>) => Promise<void>,
) {
  test(name, async (t) => {
    if ('reason' in found) return skipOrFail(t, found.reason);
    await run(async (questions) => {
      const { code, stdout, stderr } = await runCommand(found.python, ['-c', PROGRAM], JSON.stringify(questions));
      assert.equal(code, 0, stderr);
      const answers = JSON.parse(stdout) as unknown[];
      assert.equal(answers.length, questions.length);
      return answers;
    });
  });
}

const EXAMPLE = join(import.meta.dirname, '../../examples/fernet');
const TEXTS = Array.from({ length: 3 }, () => formatFernetKey(randomBytes(32)));
const KEYS = keysOf(TEXTS);
const AT = 1_800_000_000;
/** Around the block's size, and binary. */
const PLAINTEXTS = [0, 1, 15, 16, 17, 31, 32, 1000, 100_000].map((length) => randomBytes(length));

function keysOf(texts: readonly string[]): readonly FernetKey[] {
  const keys = parseFernetKeys(texts.join('\n'));
  assert.ok(keys.ok);
  return keys.value;
}

/** Ours, as Python says it: base64, or null when refused. */
function decrypted(texts: readonly string[], token: string, freshness?: Parameters<typeof decryptFernet>[2]) {
  const opened = decryptFernet(keysOf(texts), token, freshness);
  return 'refused' in opened ? null : opened.plaintext.toString('base64');
}

pythonTest("the specification's vectors: Python says the same, but where its base64 is lenient", async (ask) => {
  const { token, issuedAt, now, plaintext } = GOOD_VECTOR;
  const keys = [VECTOR_KEY];
  const ttl = VECTOR_TTL_MS / 1000;
  const [good, time, ...invalid] = await ask([
    { ask: 'decrypt', keys, token, ttl, at: now / 1000 },
    { ask: 'time', keys, token },
    ...INVALID_VECTORS.map(
      (vector) => ({ ask: 'decrypt', keys, token: vector.token, ttl, at: vector.now / 1000 }) as const,
    ),
  ]);
  assert.deepEqual([good, time], [Buffer.from(plaintext).toString('base64'), issuedAt / 1000]);
  for (const [index, { name, readByPython }] of INVALID_VECTORS.entries()) {
    assert.equal(invalid[index] !== null, readByPython ?? false, name);
  }
});

pythonTest('Python reads what we encrypt, and when, under any key of a MultiFernet', async (ask) => {
  const tokens = PLAINTEXTS.flatMap((plaintext) =>
    KEYS.map((key) => encryptFernet(key, plaintext, { iv: randomBytes(16), now: AT * 1000 + 999 })),
  );
  const expected = PLAINTEXTS.flatMap((plaintext) => KEYS.map(() => plaintext.toString('base64')));
  assert.deepEqual(await ask(tokens.map((token) => ({ ask: 'decrypt', keys: TEXTS, token }))), expected);
  const times = await ask(tokens.map((token) => ({ ask: 'time', keys: TEXTS, token })));
  assert.deepEqual(new Set(times), new Set([AT]));
});

pythonTest('we read what Python encrypts, and when', async (ask) => {
  const questions = PLAINTEXTS.flatMap((plaintext) =>
    TEXTS.map((key) => ({ ask: 'encrypt', keys: [key], data: plaintext.toString('base64'), at: AT }) as const),
  );
  const tokens = (await ask(questions)) as string[];
  for (const [index, token] of tokens.entries()) {
    const opened = decryptFernet(KEYS, token);
    assert.ok('plaintext' in opened);
    assert.deepEqual([opened.keyIndex, opened.issuedAt], [index % TEXTS.length, AT * 1000]);
    assert.ok(opened.plaintext.equals(PLAINTEXTS[Math.floor(index / TEXTS.length)]!));
  }
});

pythonTest('either rotates what the other made: the first key, the same timestamp', async (ask) => {
  const [primary = '', old = ''] = TEXTS;
  const data = Buffer.from('at rest').toString('base64');
  const [theirs] = (await ask([{ ask: 'encrypt', keys: [old], data, at: AT }])) as [string];
  const rotated = rotateFernet(KEYS, theirs, { iv: randomBytes(16) });
  assert.ok('token' in rotated);
  const ours = encryptFernet(KEYS[1]!, Buffer.from('at rest'), { iv: randomBytes(16), now: AT * 1000 });
  const [time, underNew, underOld, back] = (await ask([
    { ask: 'time', keys: [primary], token: rotated.token },
    { ask: 'decrypt', keys: [primary], token: rotated.token },
    { ask: 'decrypt', keys: [old], token: rotated.token },
    { ask: 'rotate', keys: TEXTS, token: ours },
  ])) as [number, string, null, string];
  assert.deepEqual([time, underNew, underOld], [AT, data, null]);
  const opened = decryptFernet(KEYS, back);
  assert.deepEqual(opened, { plaintext: Buffer.from('at rest'), keyIndex: 0, issuedAt: AT * 1000 });
});

pythonTest('a ttl ends in the same second', async (ask) => {
  const token = encryptFernet(KEYS[0]!, Buffer.from('x'), { iv: randomBytes(16), now: AT * 1000 });
  const cases = [
    [60, 60],
    [60, 61],
    [60, -60],
    [60, -61],
    [0, 0],
    [0, 1],
  ] as const;
  const answers = await ask(cases.map(([ttl, later]) => ({ ask: 'decrypt', keys: TEXTS, token, ttl, at: AT + later })));
  const own = cases.map(([ttl, later]) =>
    decrypted(TEXTS, token, { now: (AT + later) * 1000, ttlMs: ttl * 1000, clockSkewMs: 60_000 }),
  );
  assert.deepEqual(own, answers);
  assert.ok(own.includes(null) && own.some((answer) => answer !== null));
});

pythonTest('what we read of altered tokens, Python reads alike', async (ask) => {
  const token = () => encryptFernet(KEYS[0]!, randomBytes(randomInt(40)), { iv: randomBytes(16), now: AT * 1000 });
  const altered = Array.from({ length: 2000 }, () => {
    const one = token();
    const at = randomInt(one.length);
    return `${one.slice(0, at)}${'AZ09-_+/= \n'[randomInt(11)]}${one.slice(at + randomInt(2))}`;
  });
  const tokens = [token(), ...altered];
  const answers = await ask(tokens.map((one) => ({ ask: 'decrypt', keys: TEXTS, token: one })));
  const own = tokens.map((one) => decrypted(TEXTS, one));
  assert.ok(own[0] !== null);
  // Python reads more: its base64 passes over what it does not know.
  for (const [index, plaintext] of own.entries()) assert.ok(plaintext === null || plaintext === answers[index]);
});

/** The command line, with these keys in a file. */
async function cli(argv: readonly string[], texts: readonly string[], input: string | Buffer): Promise<Buffer> {
  const file = join(scratch, 'keys');
  await writeFile(file, texts.join('\n'), { mode: 0o600 });
  const [out, err]: [Buffer[], string[]] = [[], []];
  const code = await runFernet([...argv, '--key-file', file], {
    stdin: Readable.from([Buffer.from(input)]),
    stdout: {
      write(data, done) {
        out.push(Buffer.from(data));
        done?.();
      },
    },
    stderr: { write: (text) => err.push(text) },
    now: Date.now,
  });
  assert.equal(code, 0, err.join(''));
  return Buffer.concat(out);
}

pythonTest('tokens in base64 once more, over the command line: both ways, and rotated', async (ask) => {
  const [primary = '', old = ''] = TEXTS;
  for (const plaintext of PLAINTEXTS.slice(0, -1)) {
    const data = plaintext.toString('base64');
    const [theirs] = (await ask([{ ask: 'encrypt twice', keys: [old], data }])) as [string];
    assert.ok((await cli(['decrypt', '--double-base64'], TEXTS, theirs)).equals(plaintext));
    const ours = String(await cli(['encrypt', '--double-base64'], TEXTS, plaintext));
    const rotated = String(await cli(['rotate', '--double-base64'], TEXTS, theirs));
    const read = await ask([ours, rotated].map((token) => ({ ask: 'decrypt twice', keys: [primary], token })));
    assert.deepEqual(read, [data, data]);
  }
});

pythonTest('a column of tokens is rotated line by line, and Python reads it with the new key alone', async (ask) => {
  const [primary = '', old = ''] = TEXTS;
  const values = Array.from({ length: 50 }, (_, row) => Buffer.from(`row ${row}`).toString('base64'));
  const tokens = await ask(values.map((data) => ({ ask: 'encrypt', keys: [old], data, at: AT })));
  const column = String(await cli(['rotate', '--lines'], TEXTS, `${tokens.join('\n')}\n`))
    .trimEnd()
    .split('\n');
  assert.deepEqual(await ask(column.map((token) => ({ ask: 'decrypt', keys: [primary], token }))), values);
});

test('examples/fernet/app.py: what it sealed outlives a rotation, and is renewed', async (t) => {
  if ('reason' in found) return skipOrFail(t, found.reason);
  const keys = join(scratch, 'mounted');
  const app = async (call: string) => {
    const env = { ...process.env, FERNET_KEYS: keys, PYTHONPATH: EXAMPLE, PYTHONDONTWRITEBYTECODE: '1' };
    const { code, stdout, stderr } = await runCommand(found.python, ['-c', `import app; print(app.${call})`], '', env);
    assert.equal(code, 0, stderr);
    return stdout.trimEnd();
  };
  const [next = '', active = ''] = TEXTS;
  await writeFile(keys, `${active}\n${next}\n`);
  const stored = await app('seal("api-secret")');
  await writeFile(keys, `${next}\n${active}\n`);
  assert.equal(await app(`unseal("${stored}")`), 'api-secret');
  const renewed = await app(`renew("${stored}")`);
  assert.equal(String(await cli(['decrypt'], [next], renewed)), 'api-secret');
});

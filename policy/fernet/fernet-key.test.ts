import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { formatFernetKey, parseFernetKey, parseFernetKeys } from './fernet-key.ts';
import { VECTOR_KEY } from './testing/spec-vectors.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 300) };

test('the text of 32 bytes is read again, and shows in no printing of the key', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const text = formatFernetKey(Buffer.from(bytes));
      assert.match(text, /^[\w-]{43}=$/);
      const key = parseFernetKey(text);
      assert.ok(key.ok);
      const { signing, encryption } = key.value;
      assert.deepEqual(Buffer.concat([signing.export(), encryption.export()]), Buffer.from(bytes));
      assert.equal(inspect(key, { showHidden: true }).includes(text), false);
      assert.equal(JSON.stringify(key), '{"ok":true,"value":{"signing":{},"encryption":{}}}');
    }),
    RUNS,
  );
  assert.throws(() => formatFernetKey(Buffer.alloc(31)), RangeError);
});

const wrong: readonly (readonly [name: string, text: string])[] = [
  ['empty', ''],
  ['without padding', VECTOR_KEY.slice(0, -1)],
  ['more padding', `${VECTOR_KEY}=`],
  ['the standard alphabet', VECTOR_KEY.replaceAll('_', '/').replaceAll('-', '+')],
  ['bits after the last byte', `${VECTOR_KEY.slice(0, -2)}5=`],
  ['a line break', `${VECTOR_KEY}\n`],
  ['something before it', ` ${VECTOR_KEY}`],
  ['something after it', `${VECTOR_KEY}AAAA`],
  ['no base64', `%${VECTOR_KEY.slice(1)}`],
  ['16 bytes', Buffer.alloc(16).toString('base64')],
  ['33 bytes', Buffer.alloc(33).toString('base64')],
  ['64 hex digits', '0123456789abcdef'.repeat(4)],
];

for (const [name, text] of wrong) {
  test(`no key, and the message says what to write and not what was written: ${name}`, () => {
    const key = parseFernetKey(text);
    assert.ok(!key.ok);
    assert.match(key.message, /32 bytes in base64url with padding \(44 characters\), such as portcullis fernet keygen/);
    assert.ok(text === '' || !key.message.includes(text.trim()));
  });
}

const OTHER_KEY = formatFernetKey(Buffer.alloc(32, 7));

test('a list: one key a line, in its order, with blank lines and comments', () => {
  const list = parseFernetKeys(`# since April\r\n${VECTOR_KEY}\r\n\n   \n  # before\n ${OTHER_KEY} `);
  assert.ok(list.ok);
  assert.deepEqual(
    list.value.map(({ encryption }) => encryption.export().toString('hex')),
    [VECTOR_KEY, OTHER_KEY].map((text) => Buffer.from(text, 'base64url').subarray(16).toString('hex')),
  );
});

const wrongLists: readonly (readonly [name: string, text: string, says: RegExp])[] = [
  ['empty', '', /^there is no key in it: write 32 bytes/],
  ['comments alone', '# one\n\n#two\n', /^there is no key in it/],
  ['a line that is no key', `# new\n${OTHER_KEY}\n${VECTOR_KEY.slice(1)}\n`, /^line 3: this is no Fernet key: write/],
  ['two keys in a line', `${OTHER_KEY} ${VECTOR_KEY}`, /^line 1: /],
  ['a comment behind a key', `${OTHER_KEY} # new`, /^line 1: /],
];

for (const [name, text, says] of wrongLists) {
  test(`no list: ${name}`, () => {
    const list = parseFernetKeys(text);
    assert.ok(!list.ok);
    assert.match(list.message, says);
    assert.ok(!list.message.includes(OTHER_KEY) && !list.message.includes(VECTOR_KEY.slice(1)));
  });
}

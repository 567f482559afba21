import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type FernetKey, formatFernetKey, parseFernetKey } from './fernet-key.ts';
import { decryptFernet, encryptFernet, rotateFernet } from './fernet-token.ts';
import { decodePaddedBase64Url, encodePaddedBase64Url } from './padded-base64url.ts';
import { GOOD_VECTOR, INVALID_VECTORS, VECTOR_KEY, VECTOR_TTL_MS } from './testing/spec-vectors.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 300) };
const CLOCK_SKEW_MS = 60_000;
const { token, iv, issuedAt, now, plaintext } = GOOD_VECTOR;

function keyOf(text: string): FernetKey {
  const key = parseFernetKey(text);
  assert.ok(key.ok);
  return key.value;
}

const keys = [1, 2, 3].map((fill) => keyOf(formatFernetKey(Buffer.alloc(32, fill)))) as [
  FernetKey,
  FernetKey,
  FernetKey,
];
const vectorKey = keyOf(VECTOR_KEY);

test('the specification: generate', () => {
  assert.equal(encryptFernet(vectorKey, Buffer.from(plaintext), { iv, now: issuedAt }), token);
});

test('the specification: verify', () => {
  const freshness = { now, ttlMs: VECTOR_TTL_MS, clockSkewMs: CLOCK_SKEW_MS };
  const expected = { plaintext: Buffer.from(plaintext), keyIndex: 0, issuedAt };
  assert.deepEqual(decryptFernet([vectorKey], token, freshness), expected);
});

for (const { name, token: invalid, now: at, refused } of INVALID_VECTORS) {
  test(`the specification: invalid: ${name}`, () => {
    const freshness = { now: at, ttlMs: VECTOR_TTL_MS, clockSkewMs: CLOCK_SKEW_MS };
    assert.deepEqual(decryptFernet([vectorKey], invalid, freshness), { refused });
  });
}

const timed: readonly (readonly [name: string, aheadMs: number, ttlMs: number, refused: string | null])[] = [
  ['at once', 0, 0, null],
  ['in the last second', 60_999, 60_000, null],
  ['a second later', 61_000, 60_000, 'expired'],
  ['from as far ahead as clocks may differ', -60_000, 60_000, null],
  ['from further ahead', -60_001, 60_000, 'from_future'],
];

for (const [name, aheadMs, ttlMs, refused] of timed) {
  test(`age: ${name}`, () => {
    const opened = decryptFernet([vectorKey], token, { now: issuedAt + aheadMs, ttlMs, clockSkewMs: CLOCK_SKEW_MS });
    assert.equal('refused' in opened ? opened.refused : null, refused);
  });
}

test('age is not told of a token that is not authentic', () => {
  const expired = { now: issuedAt + 3_600_000, ttlMs: 1000, clockSkewMs: CLOCK_SKEW_MS };
  assert.deepEqual(decryptFernet(keys, token, expired), { refused: 'not_authentic' });
});

test('without freshness the oldest and the most distant time are read', () => {
  for (const at of [0, 8.64e15]) {
    const opened = decryptFernet(keys, encryptFernet(keys[0], Buffer.alloc(0), { iv, now: at }));
    assert.ok('plaintext' in opened);
    assert.equal(opened.issuedAt, at);
  }
});

test('no keys, no plaintext', () => assert.deepEqual(decryptFernet([], token), { refused: 'not_authentic' }));

/** Any token of these bytes, made by which of `keys`, and when. */
const made = fc.record({
  plaintext: fc.uint8Array({ maxLength: 100 }),
  iv: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  now: fc.nat(4_000_000_000).map((seconds) => seconds * 1000),
  by: fc.constantFrom(0, 1, 2),
});

test('what was encrypted is decrypted, by the key that made it, wherever that stands', () => {
  fc.assert(
    fc.property(made, ({ by, ...of }) => {
      const one = encryptFernet(keys[by]!, of.plaintext, of);
      const expected = { plaintext: Buffer.from(of.plaintext), keyIndex: by, issuedAt: of.now };
      assert.deepEqual(decryptFernet(keys, one), expected);
    }),
    RUNS,
  );
});

test('length: 73 bytes and a block more for each 16 bytes of plaintext', () => {
  fc.assert(
    fc.property(made, ({ by, ...of }) => {
      const bytes = decodePaddedBase64Url(encryptFernet(keys[by]!, of.plaintext, of));
      assert.equal(bytes?.length, 73 + 16 * Math.floor(of.plaintext.length / 16));
    }),
    RUNS,
  );
});

test('every other length is malformed', () => {
  const bytes = Buffer.concat([decodePaddedBase64Url(token)!, Buffer.alloc(32)]);
  for (let length = 0; length <= bytes.length; length++) {
    const fits = length >= 73 && (length - 57) % 16 === 0;
    const cut = encodePaddedBase64Url(bytes.subarray(0, length));
    assert.deepEqual(decryptFernet(keys, cut), { refused: fits ? 'not_authentic' : 'malformed' }, `${length} bytes`);
  }
});

test('one bit of a token flipped, anywhere: refused', () => {
  fc.assert(
    fc.property(made, fc.nat(), fc.constantFrom(1, 2, 4, 8, 16, 32, 64, 128), ({ by, ...of }, place, bit) => {
      const bytes = decodePaddedBase64Url(encryptFernet(keys[by]!, of.plaintext, of))!;
      const at = place % bytes.length;
      bytes[at]! ^= bit;
      const refused = at === 0 ? 'malformed' : 'not_authentic';
      assert.deepEqual(decryptFernet(keys, encodePaddedBase64Url(bytes)), { refused });
    }),
    RUNS,
  );
});

test('one character of a token changed, added or left out, anywhere: refused', () => {
  const character = fc.oneof(fc.constantFrom(...'AZaz09-_+/= \n!%'), fc.string({ unit: 'binary', minLength: 1 }));
  fc.assert(
    fc.property(made, fc.nat(), fc.nat(1), fc.option(character), ({ by, ...of }, place, left, added) => {
      const one = encryptFernet(keys[by]!, of.plaintext, of);
      const at = place % one.length;
      const other = `${one.slice(0, at)}${added ?? ''}${one.slice(at + left)}`;
      fc.pre(other !== one);
      assert.ok('refused' in decryptFernet(keys, other));
    }),
    RUNS,
  );
});

test('a key that did not make it does not read it', () => {
  fc.assert(
    fc.property(made, fc.uint8Array({ minLength: 32, maxLength: 32 }), ({ by, ...of }, other) => {
      const one = encryptFernet(keys[by]!, of.plaintext, of);
      const strangers = [keyOf(formatFernetKey(Buffer.from(other))), ...keys.toSpliced(by, 1)];
      assert.deepEqual(decryptFernet(strangers, one), { refused: 'not_authentic' });
    }),
    RUNS,
  );
});

test('two keys that share the half that signs are told apart by the padding', () => {
  const twin = { signing: keys[0].signing, encryption: keys[1].encryption };
  const one = encryptFernet(keys[0], Buffer.from(plaintext), { iv, now });
  assert.deepEqual(decryptFernet([twin, keys[0]], one), {
    plaintext: Buffer.from(plaintext),
    keyIndex: 1,
    issuedAt: now,
  });
});

test('rotated: the same plaintext and timestamp, under the first key and no other', () => {
  fc.assert(
    fc.property(made, fc.uint8Array({ minLength: 16, maxLength: 16 }), ({ by, ...of }, newIv) => {
      const rotated = rotateFernet(keys, encryptFernet(keys[by]!, of.plaintext, of), { iv: newIv });
      assert.ok('token' in rotated);
      assert.equal(rotated.keyIndex, by);
      assert.equal(rotated.token, encryptFernet(keys[0], of.plaintext, { iv: newIv, now: of.now }));
      assert.deepEqual(decryptFernet(keys.slice(1), rotated.token), { refused: 'not_authentic' });
    }),
    RUNS,
  );
});

test('rotated: a timestamp that no clock has is kept to the bit', () => {
  const bytes = decodePaddedBase64Url(encryptFernet(keys[0], Buffer.from(plaintext), { iv, now }))!;
  bytes.fill(0xff, 1, 9);
  const { signing } = keys[0];
  const forged = Buffer.concat([
    bytes.subarray(0, -32),
    createHmac('sha256', signing).update(bytes.subarray(0, -32)).digest(),
  ]);
  const rotated = rotateFernet([keys[1], keys[0]], encodePaddedBase64Url(forged), { iv });
  assert.ok('token' in rotated);
  assert.deepEqual(decodePaddedBase64Url(rotated.token)?.subarray(1, 9), Buffer.alloc(8, 0xff));
});

test('rotated: what cannot be read is refused as it is when it is read', () => {
  for (const one of ['', token.slice(1), token]) {
    assert.deepEqual(rotateFernet(keys, one, { iv }), decryptFernet(keys, one));
  }
});

import assert from 'node:assert/strict';
import { constants, createPrivateKey, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CompactSign, importJWK } from 'jose';
import { JWT_ALGORITHMS, type JwtAlgorithm, type VerificationKey } from '../../policy/bundle/types.ts';
import { type LoadedKey, loadKeys } from './load-keys.ts';
import { createSignatureVerifier } from './signature.ts';
import { makeTestKey } from './testing/token-fixtures.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 100) };

interface Vector {
  readonly source: string;
  readonly key: VerificationKey;
  /** What was signed. */
  readonly input: string;
  readonly signature: string;
}

/** RFC 7515 appendix A.1 to A.3: the header differs, the payload is the same; both end in the line breaks of the RFC. */
const PAYLOAD = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';
/** RFC 7520 section 4: the payload of its JWS examples. */
const PAYLOAD_7520 =
  'SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4';

const vectors: readonly Vector[] = [
  {
    source: 'RFC 7515 A.1',
    key: {
      kid: 'A.1',
      algorithm: 'HS256',
      jwk: {
        kty: 'oct',
        k: 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
      },
    },
    input: `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${PAYLOAD}`,
    signature: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
  },
  {
    source: 'RFC 7515 A.2',
    key: {
      kid: 'A.2',
      algorithm: 'RS256',
      jwk: {
        kty: 'RSA',
        n:
          'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ' +
          'S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2' +
          'R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD' +
          'TW9gb54h4FRWyuXpoQ',
        e: 'AQAB',
      },
    },
    input: `eyJhbGciOiJSUzI1NiJ9.${PAYLOAD}`,
    signature:
      'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t' +
      '1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j' +
      'zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ' +
      'Ge77Rw',
  },
  {
    source: 'RFC 7515 A.3',
    key: {
      kid: 'A.3',
      algorithm: 'ES256',
      jwk: {
        kty: 'EC',
        crv: 'P-256',
        x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
        y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
      },
    },
    input: `eyJhbGciOiJFUzI1NiJ9.${PAYLOAD}`,
    signature: 'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q',
  },
  {
    source: 'RFC 7520 4.4',
    key: {
      kid: '018c0ae5-4d9b-471b-bfd6-eef314bc7037',
      algorithm: 'HS256',
      jwk: { kty: 'oct', use: 'sig', alg: 'HS256', k: 'hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg' },
    },
    input: `eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9.${PAYLOAD_7520}`,
    signature: 's0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0',
  },
  {
    source: 'RFC 8037 A.4',
    key: {
      kid: 'A.4',
      algorithm: 'EdDSA',
      jwk: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
    },
    input: 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc',
    signature: 'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg',
  },
  {
    // Not a JWS, but the curve, the hash and r ‖ s of one.
    source: 'RFC 6979 A.2.6 with SHA-384',
    key: {
      kid: 'A.2.6',
      algorithm: 'ES384',
      jwk: {
        kty: 'EC',
        crv: 'P-384',
        x: hex('EC3A4E415B4E19A4568618029F427FA5DA9A8BC4AE92E02E06AAE5286B300C64DEF8F0EA9055866064A254515480BC13'),
        y: hex('8015D9B72D7D57244EA8EF9AC0C621896708A59367F9DFB9F54CA84B3F1C9DB1288B231C3AE0D4FE7344FD2533264720'),
      },
    },
    input: 'sample',
    signature: hex(
      '94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46' +
        '99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8',
    ),
  },
];

function hex(text: string): string {
  return Buffer.from(text, 'hex').toString('base64url');
}

function load(key: VerificationKey): LoadedKey {
  const loaded = loadKeys([key]).get(key.kid);
  assert.ok(loaded);
  return loaded;
}

/** Checks off the thread and, where it could, in place: they must agree. */
async function holds(key: LoadedKey, input: Buffer, signature: Buffer): Promise<boolean> {
  const verdict = await createSignatureVerifier({ maxConcurrent: 2, maxWaiting: 100 }).verify(key, input, signature);
  assert.equal(createSignatureVerifier({ maxConcurrent: 0, maxWaiting: 0 }).verify(key, input, signature), verdict);
  return verdict;
}

/** Bytes of r and of s, and the order n of the curve (SP 800-186 §3.2.1). */
const ECDSA: readonly (readonly [JwtAlgorithm, number, string])[] = [
  ['ES256', 32, 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'],
  ['ES384', 48, 'ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973'],
];

/** A copy with one bit changed, at a place from 0 to below 1. */
function flipped(bytes: Buffer, place: number): Buffer {
  const changed = Buffer.from(bytes);
  const bit = Math.floor(place * bytes.length * 8);
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return changed;
}

describe('signatures', () => {
  for (const { source, key, input, signature } of vectors) {
    it(`${source} (${key.algorithm}) holds, and not with any byte of it changed`, async () => {
      const loaded = load(key);
      const bytes = Buffer.from(signature, 'base64url');
      assert.equal(await holds(loaded, Buffer.from(input), bytes), true);
      for (let at = 0; at < bytes.length; at++) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
        assert.equal(await holds(loaded, Buffer.from(input), changed), false, `byte ${at}`);
      }
      assert.equal(await holds(loaded, Buffer.from(`${input} `), bytes), false);
    });

    it(`${source}: a signature of another length is refused without a look at the key`, () => {
      const bytes = Buffer.from(signature, 'base64url');
      for (const wrong of [Buffer.alloc(0), bytes.subarray(1), Buffer.concat([bytes, Buffer.alloc(1)])]) {
        assert.equal(
          createSignatureVerifier({ maxConcurrent: 2, maxWaiting: 100 }).verify(load(key), Buffer.from('x'), wrong),
          false,
        );
      }
    });
  }

  for (const algorithm of JWT_ALGORITHMS) {
    it(`${algorithm}: what jose signs holds, and not with one bit of it changed`, async () => {
      const key = makeTestKey(algorithm, 'k');
      const signer = await importJWK({ ...key.privateJwk }, algorithm);
      const loaded = load(key.verification);
      const payloads = fc.uint8Array({ maxLength: 200 });
      const places = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
      await fc.assert(
        fc.asyncProperty(payloads, places, places, async (payload, inInput, inSignature) => {
          const token = await new CompactSign(payload).setProtectedHeader({ alg: algorithm }).sign(signer);
          const end = token.lastIndexOf('.');
          const input = Buffer.from(token.slice(0, end));
          const signature = Buffer.from(token.slice(end + 1), 'base64url');
          assert.equal(await holds(loaded, input, signature), true);
          assert.equal(await holds(loaded, flipped(input, inInput), signature), false);
          assert.equal(await holds(loaded, input, flipped(signature, inSignature)), false);
        }),
        RUNS,
      );
    });
  }

  const input = Buffer.from('message');
  for (const [algorithm, bytes, order] of ECDSA) {
    const key = makeTestKey(algorithm, 'k');
    const good = key.sign(input);
    const [r, s] = [good.subarray(0, bytes), good.subarray(bytes)];
    const n = Buffer.from(order, 'hex');
    const zero = Buffer.alloc(bytes);
    const one = Buffer.concat([zero.subarray(1), Buffer.of(1)]);
    const forged: readonly (readonly [string, Buffer, Buffer])[] = [
      ['r = s = 0 (CVE-2022-21449)', zero, zero],
      ['r = 0', zero, s],
      ['s = 0', r, zero],
      ['r = s = 1', one, one],
      ['r = s = n', n, n],
      ['r = n', n, s],
      ['s = n', r, n],
      ['r and s exchanged', s, r],
    ];
    it(`${algorithm}: r and s out of range, exchanged, and DER`, async () => {
      const loaded = load(key.verification);
      assert.equal(await holds(loaded, input, good), true);
      for (const [name, ...halves] of forged) {
        assert.equal(await holds(loaded, input, Buffer.concat(halves)), false, name);
      }
      const der = sign(`sha${algorithm.slice(2)}`, input, createPrivateKey({ key: key.privateJwk, format: 'jwk' }));
      assert.equal(await holds(loaded, input, der), false);
      assert.equal(await holds(loaded, input, Buffer.concat([der, zero, zero]).subarray(0, 2 * bytes)), false);
    });
  }

  it('PS256: a salt of another length than the hash, and another hash in MGF1', async () => {
    const key = makeTestKey('PS256', 'k');
    const loaded = load(key.verification);
    const privateKey = createPrivateKey({ key: key.privateJwk, format: 'jwk' });
    const salted = (saltLength: number, hash = 'sha256') =>
      sign(hash, input, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
    assert.equal(await holds(loaded, input, salted(32)), true);
    for (const length of [0, 20, 31, 33, 48, 222]) assert.equal(await holds(loaded, input, salted(length)), false);
    assert.equal(await holds(loaded, input, salted(32, 'sha512')), false);
  });

  for (const algorithm of ['RS256', 'PS256'] as const) {
    it(`${algorithm}: the same number plus the modulus, and the modulus itself`, async () => {
      const key = makeTestKey(algorithm, 'k');
      const modulus = Buffer.from(key.privateJwk['n'] ?? '', 'base64url');
      const n = BigInt(`0x${modulus.toString('hex')}`);
      // Only where the sum is no longer than the modulus.
      for (let at = 0, found = false; !found; at++) {
        const message = Buffer.from(`message ${at}`);
        const sum = (n + BigInt(`0x${key.sign(message).toString('hex')}`)).toString(16);
        found = sum.length === 512;
        if (found) assert.equal(await holds(load(key.verification), message, Buffer.from(sum, 'hex')), false);
      }
      assert.equal(await holds(load(key.verification), input, modulus), false);
    });
  }

  it('EdDSA: S + L, which would be a second signature of one message (RFC 8032 §8.4)', async () => {
    const key = makeTestKey('EdDSA', 'k');
    const loaded = load(key.verification);
    const good = key.sign(input);
    const S = BigInt(`0x${Buffer.from(good.subarray(32)).reverse().toString('hex')}`);
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const withS = (scalar: bigint) =>
      Buffer.concat([good.subarray(0, 32), Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex').reverse()]);
    assert.equal(await holds(loaded, input, withS(S)), true);
    for (const forged of [S + order, S + 8n * order, 0n, order]) {
      assert.equal(await holds(loaded, input, withS(forged)), false);
    }
  });

  it('answers everyone, in order, when more wait than may run', async () => {
    const key = makeTestKey('ES256', 'k');
    const loaded = load(key.verification);
    const verifier = createSignatureVerifier({ maxConcurrent: 1, maxWaiting: 100 });
    const finished: number[] = [];
    const answers = Array.from({ length: 20 }, (_, at) => {
      const input = Buffer.from(`message ${at}`);
      const signed = at % 3 === 0 ? Buffer.alloc(64, 1) : key.sign(input);
      return Promise.resolve(verifier.verify(loaded, input, signed)).then((valid) => {
        finished.push(at);
        return valid;
      });
    });
    assert.deepEqual(
      await Promise.all(answers),
      answers.map((_, at) => at % 3 !== 0),
    );
    assert.deepEqual(
      finished,
      answers.map((_, at) => at),
    );
  });

  it('checks in place when no more may wait, with the same answers', async () => {
    const key = makeTestKey('ES256', 'k');
    const loaded = load(key.verification);
    const verifier = createSignatureVerifier({ maxConcurrent: 1, maxWaiting: 1 });
    const input = Buffer.from('message');
    const good = key.sign(input);
    const [running, waiting] = [verifier.verify(loaded, input, good), verifier.verify(loaded, input, good)];
    assert.equal(verifier.verify(loaded, input, good), true);
    assert.equal(verifier.verify(loaded, Buffer.from('other'), good), false);
    assert.deepEqual(await Promise.all([running, waiting]), [true, true]);
    assert.ok(verifier.verify(loaded, input, good) instanceof Promise);
  });
});

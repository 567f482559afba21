import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { VerificationKey } from '../../policy/bundle/types.ts';
import { loadKeys } from './load-keys.ts';
import { createSignatureVerifier } from './signature.ts';
import { makeTestKey } from './testing/token-fixtures.ts';

/** RFC 7515 appendix A.1 to A.3: the header differs, the payload is the same; both end in the line breaks of the RFC. */
const PAYLOAD = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ';
const vectors: readonly { readonly key: VerificationKey; readonly header: string; readonly signature: string }[] = [
  {
    key: {
      kid: 'A.1',
      algorithm: 'HS256',
      jwk: {
        kty: 'oct',
        k: 'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
      },
    },
    header: 'eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9',
    signature: 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk',
  },
  {
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
    header: 'eyJhbGciOiJSUzI1NiJ9',
    signature:
      'cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t' +
      '1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j' +
      'zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ' +
      'Ge77Rw',
  },
  {
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
    header: 'eyJhbGciOiJFUzI1NiJ9',
    signature: 'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q',
  },
];

describe('signatures', () => {
  for (const { key, header, signature } of vectors) {
    it(`RFC 7515 ${key.kid} (${key.algorithm}) holds, and not with any bit of it changed`, async () => {
      const loaded = loadKeys([key]).get(key.kid);
      assert.ok(loaded);
      const verifier = createSignatureVerifier({ maxConcurrent: 2, maxWaiting: 100 });
      const input = Buffer.from(`${header}.${PAYLOAD}`);
      const bytes = Buffer.from(signature, 'base64url');
      assert.equal(await verifier.verify(loaded, input, bytes), true);
      for (let at = 0; at < bytes.length; at++) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
        assert.equal(await verifier.verify(loaded, input, changed), false, `byte ${at}`);
      }
      assert.equal(await verifier.verify(loaded, Buffer.from(`${header}.${PAYLOAD} `), bytes), false);
    });

    it(`RFC 7515 ${key.kid}: a signature of another length is refused without a look at the key`, () => {
      const loaded = loadKeys([key]).get(key.kid);
      assert.ok(loaded);
      const bytes = Buffer.from(signature, 'base64url');
      for (const wrong of [Buffer.alloc(0), bytes.subarray(1), Buffer.concat([bytes, Buffer.alloc(1)])]) {
        assert.equal(
          createSignatureVerifier({ maxConcurrent: 2, maxWaiting: 100 }).verify(loaded, Buffer.from('x'), wrong),
          false,
        );
      }
    });
  }

  it('ES256: r = s = 0 (CVE-2022-21449) and r, s = n are no signatures', async () => {
    const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');
    const loaded = loadKeys([makeTestKey('ES256', 'k').verification]).get('k');
    assert.ok(loaded);
    const verifier = createSignatureVerifier({ maxConcurrent: 2, maxWaiting: 100 });
    for (const forged of [Buffer.alloc(64), Buffer.concat([order, order])]) {
      assert.equal(await verifier.verify(loaded, Buffer.from('x'), forged), false);
    }
  });

  it('answers everyone, in order, when more wait than may run', async () => {
    const key = makeTestKey('ES256', 'k');
    const loaded = loadKeys([key.verification]).get('k');
    assert.ok(loaded);
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
    const loaded = loadKeys([key.verification]).get('k');
    assert.ok(loaded);
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

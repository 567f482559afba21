import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import type { JwtAlgorithm, VerificationKey } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { loadKeys } from './load-keys.ts';
import { makeTestKey, verificationKey } from './testing/token-fixtures.ts';

const ec = makeTestKey('ES256', 'ec').verification;
const rsa = makeTestKey('RS256', 'rsa').verification;
const hmac = makeTestKey('HS256', 'hmac').verification;
const shortRsa = verificationKey(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey, 'RS256', 'rsa-1024');
const pss = makeTestKey('PS256', 'pss').verification;
const ec384 = makeTestKey('ES384', 'ec384').verification;
const ed = makeTestKey('EdDSA', 'ed').verification;
const ed448 = verificationKey(generateKeyPairSync('ed448').publicKey, 'EdDSA', 'ed448');
const x25519 = verificationKey(generateKeyPairSync('x25519').publicKey, 'EdDSA', 'x25519');

function change(key: VerificationKey, jwk: Record<string, string>, algorithm?: JwtAlgorithm): VerificationKey {
  return { ...key, jwk: { ...key.jwk, ...jwk }, algorithm: algorithm ?? key.algorithm };
}

function without(key: VerificationKey, member: string): VerificationKey {
  return { ...key, jwk: Object.fromEntries(Object.entries(key.jwk).filter(([name]) => name !== member)) };
}

function secret(bytes: Buffer | string, algorithm: JwtAlgorithm = 'HS256'): VerificationKey {
  return change(hmac, { k: Buffer.from(bytes).toString('base64url') }, algorithm);
}

/** An Ed25519 key of these bytes, in hex. */
function point(hex: string): VerificationKey {
  return change(ed, { x: Buffer.from(hex, 'hex').toString('base64url') });
}

const random64 = createHash('sha512').update('x').digest();

describe('keys refused at load, each beside one that is accepted', () => {
  const cases: readonly (readonly [string, VerificationKey, RegExp, VerificationKey])[] = [
    ['RSA of 1024 bits', shortRsa, /1024 bits/, rsa],
    ['RSA with e = 1', change(rsa, { e: 'AQ' }), /exponent is 1;/, change(rsa, { e: 'Aw' })],
    ['RSA with even e', change(rsa, { e: 'AQAC' }), /exponent is 65538/, change(rsa, { e: 'AQAB' })],
    ['RSA with e = 0', change(rsa, { e: 'AA' }), /exponent is 0|not a valid/, rsa],
    ['RSA of 1024 bits for PSS', { ...shortRsa, algorithm: 'PS256' }, /1024 bits; PS256/, pss],
    ['RSA with e = 1 for PSS', change(pss, { e: 'AQ' }), /exponent is 1;/, change(pss, { e: 'Aw' })],
    ['EC on P-384 for ES256', change(ec384, {}, 'ES256'), /curve is "P-384"; ES256 needs "P-256"/, ec384],
    ['EC on P-256 for ES384', change(ec, {}, 'ES384'), /curve is "P-256"; ES384 needs "P-384"/, ec],
    ['EC of P-384 called P-256', change(ec384, { crv: 'P-256' }, 'ES256'), /not a valid public key/, ec384],
    ['EC on another curve by name', change(ec, { crv: 'secp256k1' }), /secp256k1/, ec],
    ['EC point off the curve', change(ec, { x: ec.jwk['y'] ?? '' }), /not a valid public key/, ec],
    ['EC point off the curve P-384', change(ec384, { x: ec384.jwk['y'] ?? '' }), /not a valid public key/, ec384],
    ['EC point at infinity', change(ec, { x: 'AA', y: 'AA' }), /not a valid public key/, ec],
    ['Ed448', ed448, /curve is "Ed448"; EdDSA needs "Ed25519"/, ed],
    ['X25519, which signs nothing', x25519, /curve is "X25519"/, ed],
    ['X25519 called Ed25519 without a curve', without(x25519, 'crv'), /"crv" is missing/, ed],
    ['Ed25519 a byte short', point('11'.repeat(31)), /not a valid public key/, ed],
    ['Ed25519 a byte long', point('11'.repeat(33)), /not a valid public key/, ed],
    ['Ed25519 of zeros', point('00'.repeat(32)), /small order/, ed],
    ['Ed25519 the neutral point', point(`01${'00'.repeat(31)}`), /small order/, ed],
    ['Ed25519 the neutral point, x negative', point(`01${'00'.repeat(30)}80`), /small order/, ed],
    ['Ed25519 the neutral point as p + 1', point(`ee${'ff'.repeat(30)}7f`), /small order/, ed],
    ['Ed25519 of order 2', point(`ec${'ff'.repeat(30)}7f`), /small order/, ed],
    ['Ed25519 with a private member', change(ed, { d: 'AAAA' }), /private member "d"/, ed],
    ['Ed25519 with y', change(ed, { y: 'AAAA' }), /"y" has no place/, ed],
    ['an EC key declared EdDSA', change(ec, {}, 'EdDSA'), /"y" has no place|kty is "EC"/, ed],
    ['an Ed25519 key declared HS512', change(ed, {}, 'HS512'), /kty is "OKP"|no place/, ed],
    ['an RS256 key that says PS256', change(rsa, { alg: 'PS256' }), /alg is "PS256"/, change(rsa, { alg: 'RS256' })],
    ['EC without y', without(ec, 'y'), /"y" is missing/, ec],
    ['no kty', without(ec, 'kty'), /no kty/, ec],
    ['an RSA key declared ES256', change(rsa, {}, 'ES256'), /"n" has no place|kty is "RSA"/, rsa],
    ['a public key declared HS256', change(rsa, {}, 'HS256'), /kty is "RSA"|no place/, hmac],
    ['alg for another algorithm', change(ec, { alg: 'ES384' }), /alg is "ES384"/, change(ec, { alg: 'ES256' })],
    ['use for encryption', change(ec, { use: 'enc' }), /use is "enc"/, change(ec, { use: 'sig' })],
    ['kid of another key', change(ec, { kid: 'other' }), /kid is "other"/, change(ec, { kid: 'ec' })],
    ['a private EC member', change(ec, { d: 'AAAA' }), /private member "d"/, ec],
    ['a private RSA member', change(rsa, { p: 'AAAA' }), /private member "p"/, rsa],
    ['a member of another type', change(ec, { k: 'AAAA' }), /"k" has no place/, ec],
    ['padded base64', change(rsa, { e: 'AQAB=' }), /base64url/, rsa],
    ['empty kid', { ...ec, kid: '' }, /kid is empty/, ec],
    ['HMAC of 31 bytes', secret(random64.subarray(0, 31)), /31 bytes/, secret(random64.subarray(0, 32))],
    [
      'HS384 of 47',
      secret(random64.subarray(0, 47), 'HS384'),
      /47 bytes; HS384/,
      secret(random64.subarray(0, 48), 'HS384'),
    ],
    ['HS512 of 63', secret(random64.subarray(0, 63), 'HS512'), /63 bytes; HS512/, secret(random64, 'HS512')],
    [
      'HS512 of zeros',
      secret(Buffer.alloc(64), 'HS512'),
      /counts one byte.*rand -base64 64/,
      secret(random64, 'HS512'),
    ],
    ['HMAC of zeros', secret(Buffer.alloc(32)), /counts one byte/, secret(random64)],
    ['HMAC of one repeated byte', secret(Buffer.alloc(64, 0x5a)), /counts one byte/, secret(random64)],
    ['HMAC 0, 1, 2 ...', secret(Buffer.from(Array.from({ length: 32 }, (_, at) => at))), /counts one byte/, hmac],
    ['HMAC of a repeated word', secret('hunter2!'.repeat(4)), /repeats a shorter one/, hmac],
    ['HMAC of a word repeated, cut short', secret('trading-desk/trading-desk/tradin'), /repeats a shorter one/, hmac],
    ['HMAC padded with zero bytes', secret(Buffer.concat([Buffer.from('hunter2'), Buffer.alloc(32)])), /padding/, hmac],
    ['HMAC padded in front', secret(`${'0'.repeat(30)}hunter2`), /padding/, hmac],
    ["jwt.io's default", secret('a-string-secret-at-least-256-bits-long'), /word "secret"/, hmac],
    ['a typed password', secret('OurTradingDeskPassword2026!!!1234'), /word "passw"/, secret(random64.toString('hex'))],
  ];
  for (const [name, refused, message, accepted] of cases) {
    it(name, () => {
      assert.throws(
        () => loadKeys([refused]),
        (error) => error instanceof PortcullisError && error.code === 'key_refused' && message.test(error.message),
      );
      assert.equal(loadKeys([accepted]).size, 1);
    });
  }

  it('one kid twice, even of the same key', () => {
    assert.throws(() => loadKeys([ec, ec]), /occurs twice/);
    assert.deepEqual([...loadKeys([ec, { ...ec, kid: 'ec-2' }]).keys()], ['ec', 'ec-2']);
  });

  it('messages show no key material', () => {
    const k = Buffer.from('a-string-secret-at-least-256-bits-long').toString('base64url');
    assert.throws(
      () => loadKeys([change(hmac, { k })]),
      (error) => error instanceof Error && !error.message.includes(k) && !error.message.includes('a-string'),
    );
  });
});

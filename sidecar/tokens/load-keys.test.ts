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
const p384 = verificationKey(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey, 'ES256', 'p384');

function change(key: VerificationKey, jwk: Record<string, string>, algorithm?: JwtAlgorithm): VerificationKey {
  return { ...key, jwk: { ...key.jwk, ...jwk }, algorithm: algorithm ?? key.algorithm };
}

function without(key: VerificationKey, member: string): VerificationKey {
  return { ...key, jwk: Object.fromEntries(Object.entries(key.jwk).filter(([name]) => name !== member)) };
}

function secret(bytes: Buffer | string): VerificationKey {
  return change(hmac, { k: Buffer.from(bytes).toString('base64url') });
}

const random64 = createHash('sha512').update('x').digest();

describe('keys refused at load, each beside one that is accepted', () => {
  const cases: readonly (readonly [string, VerificationKey, RegExp, VerificationKey])[] = [
    ['RSA of 1024 bits', shortRsa, /1024 bits/, rsa],
    ['RSA with e = 1', change(rsa, { e: 'AQ' }), /exponent is 1;/, change(rsa, { e: 'Aw' })],
    ['RSA with even e', change(rsa, { e: 'AQAC' }), /exponent is 65538/, change(rsa, { e: 'AQAB' })],
    ['RSA with e = 0', change(rsa, { e: 'AA' }), /exponent is 0|not a valid/, rsa],
    ['EC on P-384', p384, /curve is "P-384"/, ec],
    ['EC on another curve by name', change(ec, { crv: 'secp256k1' }), /secp256k1/, ec],
    ['EC point off the curve', change(ec, { x: ec.jwk['y'] ?? '' }), /not a valid public key/, ec],
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

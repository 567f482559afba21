import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { EXTERNAL_ALGORITHMS } from '../../policy/api/external-jwks.ts';
import type { JwtAlgorithm } from '../../policy/bundle/types.ts';
import { parseJwkSet } from './parse-jwk-set.ts';
import { makeTestKey, verificationKey } from './testing/token-fixtures.ts';

const jwkOf = (algorithm: JwtAlgorithm, kid: string): Readonly<Record<string, string>> => ({
  ...makeTestKey(algorithm, kid).verification.jwk,
  kid,
});
const ec = jwkOf('ES256', 'ec');
const ec384 = jwkOf('ES384', 'ec384');
const ed = jwkOf('EdDSA', 'ed');
const rsa = jwkOf('RS256', 'rsa');
const other = jwkOf('ES256', 'ec');
const weak = verificationKey(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey, 'RS256', 'weak');

const parse = (document: unknown, algorithms: readonly JwtAlgorithm[] = EXTERNAL_ALGORITHMS) =>
  parseJwkSet(Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)), algorithms);
const used = (keys: readonly unknown[], algorithms?: readonly JwtAlgorithm[]) =>
  parse({ keys: [...keys, { ...ec384, kid: 'one that is good', alg: 'ES384' }] }, algorithms)
    .keys.map(({ kid, algorithm }) => `${kid} ${algorithm}`)
    .slice(0, -1);

describe('keys of an issuer outside that are used', () => {
  const rows: readonly [name: string, keys: readonly unknown[], expected: readonly string[], JwtAlgorithm[]?][] = [
    ['a curve says the algorithm', [ec, ed], ['ec ES256', 'ed EdDSA']],
    ['RSA with alg', [{ ...rsa, alg: 'PS256' }], ['rsa PS256']],
    ['RSA without alg, where the policy leaves one', [rsa], ['rsa RS256'], ['RS256', 'ES384']],
    ['use and key_ops', [{ ...ec, use: 'sig', key_ops: ['verify'] }], ['ec ES256']],
    ['members that say nothing of the key', [{ ...ec, x5t: 'a', x5c: ['b'], nbf: 1 }], ['ec ES256']],
    ['the same key twice', [ec, ec], ['ec ES256']],
  ];
  for (const [name, keys, expected, algorithms] of rows) {
    it(name, () => assert.deepEqual(used(keys, algorithms), expected));
  }

  it('consist of what verifies and nothing else', () => {
    assert.deepEqual(Object.keys(parse({ keys: [{ ...ec, x5c: ['b'] }] }).keys[0]?.jwk ?? {}), [
      'kty',
      'crv',
      'x',
      'y',
    ]);
  });
});

describe('keys of an issuer outside that are skipped', () => {
  const rows: readonly [name: string, keys: readonly unknown[], why: RegExp, JwtAlgorithm[]?][] = [
    ['no object', ['ec'], /keys\[0\]: it is no object/],
    ['no kid', [{ ...ec, kid: undefined }], /keys\[0\]: it has no kid/],
    ['an empty kid', [{ ...ec, kid: '' }], /it has no kid/],
    ['a kid that is a number', [{ ...ec, kid: 1 }], /it has no kid/],
    ['a kid of great length', [{ ...ec, kid: 'k'.repeat(513) }], /more than 512/],
    ['a secret', [{ kty: 'oct', k: 'A'.repeat(43), kid: 's', alg: 'HS256' }], /symmetric/],
    ['a private key', [{ ...ec, d: 'AAAA' }], /private member "d"/],
    ['for encryption', [{ ...rsa, alg: 'RS256', use: 'enc' }], /use is not sig/],
    ['for wrapping', [{ ...rsa, alg: 'RS256', key_ops: ['wrapKey'] }], /no verify/],
    ['key_ops that is no list', [{ ...rsa, alg: 'RS256', key_ops: 'verify' }], /no verify/],
    ['RSA that may be either', [rsa], /algorithms: \[RS256\]/],
    ['an algorithm of another type', [{ ...rsa, alg: 'ES256' }], /none of the algorithms/],
    ['an algorithm of another curve', [{ ...ec, alg: 'ES384' }], /none of the algorithms/],
    ['an algorithm that the policy leaves out', [ec], /none of the algorithms/, ['ES384']],
    ['a public key for HMAC', [{ ...rsa, alg: 'HS256' }], /none of the algorithms/],
    ['none', [{ ...rsa, alg: 'none' }], /none of the algorithms/],
    ['weak RSA', [{ ...weak.jwk, kid: 'weak', alg: 'RS256' }], /1024 bits/],
    ['a point off the curve', [{ ...ec, y: ec384['x'] }], /not a valid public key/],
    ['a member missing', [{ ...ec, y: undefined }], /member "y" is missing/],
    ['two keys of one kid', [ec, other], /its kid belongs to another key/],
    ['three keys of one kid', [ec, ec, other], /its kid belongs to another key/],
  ];
  for (const [name, keys, why, algorithms] of rows) {
    it(name, () => {
      assert.deepEqual(used(keys, algorithms), []);
      const skipped = parse({ keys: [...keys, { ...ec384, kid: 'good' }] }, algorithms).skipped.join('\n');
      assert.match(skipped, why);
      for (const secret of ['AAAA', ec['x'] ?? '', rsa['n'] ?? '']) assert.ok(!skipped.includes(secret));
    });
  }
});

describe('documents that change nothing', () => {
  const rows: readonly [name: string, document: unknown, why: RegExp][] = [
    ['no JSON', '<html>', /no JSON object/],
    ['a list', [ec], /no JSON object/],
    ['no keys', {}, /no JSON object/],
    ['keys that are no list', { keys: { ec } }, /no JSON object/],
    ['a member twice', `{"keys":[],"keys":[${JSON.stringify(ec)}]}`, /no JSON object/],
    ['deep nesting', `{"keys":[${'['.repeat(20)}${']'.repeat(20)}]}`, /no JSON object/],
    ['too many keys', { keys: Array.from({ length: 65 }, () => ec) }, /65 keys; at most 64/],
    ['an empty set', { keys: [] }, /none of its 0 keys/],
    ['nothing of use', { keys: [{ ...ec, use: 'enc' }] }, /none of its 1 keys is of use; key "ec": its use is not sig/],
  ];
  for (const [name, document, why] of rows) {
    it(name, () => assert.throws(() => parse(document), { code: 'key_refused', message: why }));
  }

  it('bytes that are no UTF-8', () => {
    const document = Buffer.concat([
      Buffer.from(`{"keys":[${JSON.stringify(ec)}],"a":"`),
      Buffer.from([0xff, 0x22, 0x7d]),
    ]);
    assert.throws(() => parseJwkSet(document, EXTERNAL_ALGORITHMS), { code: 'key_refused' });
  });
});

import assert from 'node:assert/strict';
import { JWT_ALGORITHMS } from '../../policy/bundle/types.ts';
import { PortcullisError } from '../../policy/errors.ts';
import { parseJwkSet } from '../../sidecar/tokens/parse-jwk-set.ts';
import { mutateDocument, mutateText, randomOctets } from './mutate.ts';
import type { Target } from './target.ts';

// RFC 7515 appendix A.2.1 and A.3.1, RFC 8037 appendix A.2.
const KEYS = [
  {
    kty: 'EC',
    crv: 'P-256',
    kid: 'ec',
    use: 'sig',
    x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
    y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
  },
  { kty: 'OKP', crv: 'Ed25519', kid: 'ed', alg: 'EdDSA', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
  {
    kty: 'RSA',
    kid: 'rsa',
    alg: 'RS256',
    key_ops: ['verify'],
    e: 'AQAB',
    n: 'ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ',
  },
];
const NAMES = ['kty', 'kid', 'crv', 'alg', 'use', 'key_ops', 'x', 'y', 'n', 'e', 'd', 'p', 'k', 'keys', '__proto__'];
const VALUES = [
  'EC',
  'RSA',
  'oct',
  'sig',
  'enc',
  'HS256',
  'P-384',
  'AQ',
  'AAAA',
  '',
  null,
  0,
  true,
  [],
  {},
  ['sign'],
  ...KEYS,
];
const PIECES = [...'{}[],:"\\=+/A0-_ ', '"kid":"ec",', '"d":"AA",', 'AAAA', '\\u0065', 'null', '[[[[[['];

/** JWK Sets of issuers outside: refused by `key_refused` or read into keys that a second reading finds again. */
export const jwkSets: Target = {
  next: (random) => {
    if (random(32) === 0) return randomOctets(80, random);
    const document = structuredClone({ keys: KEYS.filter(() => random(3) > 0) });
    mutateDocument(document, NAMES, VALUES, PIECES, 3, random);
    const text = JSON.stringify(document);
    return random(3) === 0 ? mutateText(text, PIECES, 2, random) : text;
  },

  check: (text) => {
    let read: ReturnType<typeof parseJwkSet>;
    try {
      read = parseJwkSet(Buffer.from(text, 'utf8'), JWT_ALGORITHMS.slice(3));
    } catch (error) {
      assert.ok(error instanceof PortcullisError && error.code === 'key_refused', String(error));
      assert.ok(error.message.length < 2_000);
      return 'refused';
    }
    const kids = read.keys.map(({ kid }) => kid);
    assert.ok(kids.length > 0 && new Set(kids).size === kids.length);
    for (const { jwk, algorithm } of read.keys) {
      assert.ok(!algorithm.startsWith('HS'));
      assert.deepEqual(
        Object.keys(jwk).filter((member) => !['kty', 'crv', 'x', 'y', 'n', 'e'].includes(member)),
        [],
      );
    }
    const again = { keys: read.keys.map(({ kid, algorithm, jwk }) => ({ kid, alg: algorithm, ...jwk })) };
    const { keys, skipped } = parseJwkSet(Buffer.from(JSON.stringify(again)), JWT_ALGORITHMS.slice(3));
    assert.deepEqual([keys, skipped], [read.keys, []]);
    return read.skipped.length === 0 ? 'read' : 'read in part';
  },
};

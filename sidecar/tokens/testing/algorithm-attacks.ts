import { createHmac, createPublicKey } from 'node:crypto';
import type { JwtAlgorithm } from '../../../policy/bundle/types.ts';
import { isSymmetric, KEY_SHAPES } from '../../../policy/keys/algorithms.ts';
import type { TokenAttack } from './token-attacks.ts';
import { encodePart, makeTestKey, mintToken, type TestKey } from './token-fixtures.ts';

/** Spellings of `alg` that look like EdDSA's or are other algorithms (RFC 7518 §3.1, RFC 8812 §3.2, RFC 9864 §2.2). */
const UNKNOWN = ['ES512', 'ES256K', 'RS512', 'PS384', 'Ed25519', 'Ed448', 'EDDSA', 'HS256 ', 'HS1', 'dir', 'A256KW'];

/**
 * For tests: confusions of algorithm and key (RFC 8725 §2.1, §3.1) over every pair of `keys`, one of each algorithm in
 * one authenticator, which accepts `claims`.
 */
export function algorithmAttacks(keys: readonly TestKey[], claims: object): readonly TokenAttack[] {
  return [
    ...keys.flatMap((key) => againstKey(key, claims)),
    ...pairs(keys).flatMap((pair) => confusions(pair, claims)),
  ];
}

function againstKey(key: TestKey, claims: object): TokenAttack[] {
  const { algorithm, kid } = key.verification;
  const honest = mintToken(key, claims);
  const zeros = Buffer.alloc(key.sign(Buffer.from('x')).length);
  return [
    [
      `${algorithm}: a foreign key under our kid`,
      mintToken(makeTestKey(algorithm), claims, head(key)),
      'signature',
      honest,
    ],
    [`${algorithm}: a signature of zeros`, signed(head(key), claims, () => zeros), 'signature', honest],
    [
      `${algorithm}: a signature of zeros, a byte short`,
      signed(head(key), claims, () => zeros.subarray(1)),
      'signature',
      honest,
    ],
    ...UNKNOWN.map(
      (alg): TokenAttack => [
        `alg ${alg} with the kid of ${algorithm}`,
        mintToken(key, claims, { alg, kid }),
        'algorithm',
        honest,
      ],
    ),
    ...publicForms(key).flatMap(([form, bytes]): TokenAttack[] => [
      [
        `HS256 by the ${algorithm} public key as ${form}`,
        signed(head(key, 'HS256'), claims, hmacBy(bytes)),
        'algorithm',
        honest,
      ],
      [
        `${algorithm} whose signature is an HMAC by its public key as ${form}`,
        signed(head(key), claims, hmacBy(bytes)),
        'signature',
        honest,
      ],
    ]),
  ];
}

/** `signer`'s signature for `owner`'s kid, under the alg of either, and the owner's own key misused in the signer's way. */
function confusions([signer, owner]: readonly [TestKey, TestKey], claims: object): TokenAttack[] {
  const [from, to] = [signer.verification.algorithm, owner.verification.algorithm];
  const honest = mintToken(owner, claims);
  const attacks: TokenAttack[] = [
    [`${from} with the kid of ${to}`, mintToken(signer, claims, head(owner, from)), 'algorithm', honest],
    [`a ${from} signature called ${to}`, mintToken(signer, claims, head(owner)), 'signature', honest],
  ];
  if (KEY_SHAPES[from].kty !== KEY_SHAPES[to].kty) return attacks;
  const misuse = (input: Buffer) => owner.sign(input, from);
  attacks.push(
    [`the ${to} key itself used for ${from}`, signed(head(owner, from), claims, misuse), 'algorithm', honest],
    [`the ${to} key itself used for ${from}, called ${to}`, signed(head(owner), claims, misuse), 'signature', honest],
  );
  return attacks;
}

/** Every text and every bytes that a verifier with one function for all algorithms could take for a secret. */
function publicForms({ verification: { algorithm, jwk } }: TestKey): readonly (readonly [string, string | Buffer])[] {
  if (isSymmetric(algorithm)) return [];
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const pem = key.export({ format: 'pem', type: 'spki' }).toString();
  const forms: (readonly [string, string | Buffer])[] = [
    ['PEM', pem],
    ['PEM without its last line break', pem.trimEnd()],
    ['DER', key.export({ format: 'der', type: 'spki' })],
    ['JWK', JSON.stringify(jwk)],
    ['bare bytes', Buffer.from(jwk['x'] ?? jwk['n'] ?? '', 'base64url')],
  ];
  if (KEY_SHAPES[algorithm].kty === 'RSA') forms.push(['PKCS #1 PEM', key.export({ format: 'pem', type: 'pkcs1' })]);
  return forms;
}

function pairs(keys: readonly TestKey[]): (readonly [TestKey, TestKey])[] {
  return keys.flatMap((one) => keys.filter((other) => other !== one).map((other) => [one, other] as const));
}

function head(key: TestKey, alg: JwtAlgorithm = key.verification.algorithm): object {
  return { alg, kid: key.verification.kid };
}

function hmacBy(secret: string | Buffer): (input: Buffer) => Buffer {
  return (input) => createHmac('sha256', secret).update(input).digest();
}

function signed(header: object, claims: object, sign: (input: Buffer) => Buffer): string {
  const input = `${encodePart(header)}.${encodePart(claims)}`;
  return `${input}.${sign(Buffer.from(input)).toString('base64url')}`;
}

import { JWT_ALGORITHMS, type JwtAuthenticator } from '../../../policy/bundle/types.ts';
import type { TokenRefusal } from '../token-verifier.ts';
import { algorithmAttacks } from './algorithm-attacks.ts';
import { encodePart, makeTestKey, mintToken, testAuthenticator, validClaims } from './token-fixtures.ts';

/** What is tried, the token, why it must be refused, and an honest token that differs as little as possible. */
export type TokenAttack = readonly [name: string, attack: string, refusal: TokenRefusal, honest: string];

/**
 * For tests: the tokens of docs/security.md, and authenticators that must refuse each and accept its honest twin at `now`
 * (epoch milliseconds), and for `slack` seconds more.
 */
export function tokenAttacks(
  now: number,
  slack = 0,
): { readonly authenticators: readonly JwtAuthenticator[]; readonly attacks: readonly TokenAttack[] } {
  const seconds = Math.floor(now / 1000);
  const es = makeTestKey('ES256', 'es');
  const others = JWT_ALGORITHMS.filter((algorithm) => algorithm !== 'ES256').map((algorithm) =>
    makeTestKey(algorithm, algorithm.toLowerCase()),
  );
  const keys = [es, ...others];
  const foreign = makeTestKey('ES256', 'es');
  const other = makeTestKey('ES256', 'other');
  const authenticators = [
    testAuthenticator(keys, { requiredClaims: ['sub', 'tenant_id'] }),
    testAuthenticator([other], { name: 'partner', issuer: 'https://partner.example', requiredClaims: [] }),
  ];

  const claims = validClaims(now, { tenant_id: 't1' });
  const valid = mintToken(es, claims);
  const [validHeader = '', validPayload = '', validSignature = ''] = valid.split('.');

  function withClaims(more: Readonly<Record<string, unknown>>): string {
    return mintToken(es, { ...claims, ...more });
  }
  function withHeader(more: Readonly<Record<string, unknown>>): string {
    return mintToken(es, claims, { alg: 'ES256', kid: 'es', ...more });
  }
  function withoutClaim(name: string): string {
    return mintToken(es, Object.fromEntries(Object.entries(claims).filter(([claim]) => claim !== name)));
  }
  /** A last character that decodes to the same bytes but carries non-zero trailing bits. */
  function trailingBits(part: string): string {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return part.slice(0, -1) + alphabet.charAt(alphabet.indexOf(part.slice(-1)) + 1);
  }
  function padTo(length: number): string {
    const unpadded = withClaims({ pad: '' }).length;
    let token = '';
    for (let pad = Math.floor(((length - unpadded) * 3) / 4) - 4; token.length < length; pad++) {
      token = withClaims({ pad: 'x'.repeat(Math.max(0, pad)) });
    }
    return token;
  }

  function signBytes(payload: Buffer): string {
    const input = `${validHeader}.${payload.toString('base64url')}`;
    return `${input}.${es.sign(Buffer.from(input)).toString('base64url')}`;
  }

  const text = JSON.stringify(claims).slice(0, -1);
  const attacks: readonly TokenAttack[] = [
    ...algorithmAttacks(keys, claims),
    ['alg none, no signature', `${encodePart({ alg: 'none', kid: 'es' })}.${validPayload}.`, 'algorithm', valid],
    ['alg NoNe', withHeader({ alg: 'NoNe' }), 'algorithm', valid],
    ['alg none with the signature left', withHeader({ alg: 'none' }), 'algorithm', valid],
    ['no alg', mintToken(es, claims, { kid: 'es' }), 'malformed', valid],
    ['alg in lower case', withHeader({ alg: 'es256' }), 'algorithm', valid],
    ['alg as a list', withHeader({ alg: ['ES256'] }), 'malformed', valid],
    ['an algorithm nobody asked for', withHeader({ alg: 'ES512' }), 'algorithm', valid],
    ['no kid', mintToken(es, claims, { alg: 'ES256' }), 'unknown_key', valid],
    ['an unknown kid', withHeader({ kid: 'nobody' }), 'unknown_key', valid],
    ['kid in other case', withHeader({ kid: 'ES' }), 'unknown_key', valid],
    ['kid with a space', withHeader({ kid: 'es ' }), 'unknown_key', valid],
    ['kid __proto__', withHeader({ kid: '__proto__' }), 'unknown_key', valid],
    ['kid as a number', withHeader({ kid: 1 }), 'malformed', valid],
    ['a foreign key under our kid', mintToken(foreign, claims), 'signature', valid],
    [
      'a payload exchanged',
      `${validHeader}.${withClaims({ sub: 'root' }).split('.')[1]}.${validSignature}`,
      'signature',
      valid,
    ],
    [
      'a signature of another token',
      `${validHeader}.${validPayload}.${withClaims({ sub: 'b' }).split('.')[2]}`,
      'signature',
      valid,
    ],
    ['an empty signature', `${validHeader}.${validPayload}.`, 'malformed', valid],
    ['a signature cut short', valid.slice(0, -2), 'signature', valid],
    ['padding', `${valid}=`, 'malformed', valid],
    ['padding of the payload', `${validHeader}.${validPayload}==.${validSignature}`, 'malformed', valid],
    ['a space behind', `${valid} `, 'malformed', valid],
    ['a line break within', `${validHeader}.${validPayload}\n.${validSignature}`, 'malformed', valid],
    ['a stray ? within', `${valid.slice(0, -10)}?${valid.slice(-10)}`, 'malformed', valid],
    ['plain base64 alphabet', `${valid.slice(0, -3)}+${valid.slice(-2)}`, 'malformed', valid],
    ['a NUL behind', `${valid}\0`, 'malformed', valid],
    ['a letter beyond Latin-1 whose low byte fits', `\u0165${valid.slice(1)}`, 'malformed', valid],
    ['non-zero trailing bits in the signature', trailingBits(valid), 'malformed', valid],
    ['one part', 'abc', 'malformed', valid],
    ['nothing', '', 'malformed', valid],
    ['two parts', `${validHeader}.${validPayload}`, 'malformed', valid],
    ['four parts', `${valid}.AAAA`, 'malformed', valid],
    ['a JWE of five parts', `${encodePart({ alg: 'dir', enc: 'A256GCM' })}.AAAA.AAAA.AAAA.AAAA`, 'unsupported', valid],
    ['six parts', `${valid}.A.A.A`, 'malformed', valid],
    ['JSON serialisation', JSON.stringify({ payload: validPayload, signatures: [] }), 'malformed', valid],
    ['a header that is a list', mintToken(es, claims, '[]'), 'malformed', valid],
    ['a header that is null', mintToken(es, claims, 'null'), 'malformed', valid],
    ['claims that are a string', mintToken(es, '"x"'), 'malformed', valid],
    ['claims that are no JSON', mintToken(es, 'x'), 'malformed', valid],
    ['claims with a byte order mark', mintToken(es, `\ufeff${JSON.stringify(claims)}`), 'malformed', valid],
    [
      'claims in invalid UTF-8',
      signBytes(Buffer.concat([Buffer.from(`${text},"x":"`), Buffer.from([0xc0, 0xaf]), Buffer.from('"}')])),
      'malformed',
      signBytes(Buffer.from(`${text},"x":"ä"}`)),
    ],
    [
      'claims nested too deep',
      withClaims({ x: JSON.parse('['.repeat(16) + ']'.repeat(16)) }),
      'malformed',
      withClaims({ x: [[[]]] }),
    ],
    ['sub twice', mintToken(es, `${text},"sub":"root"}`), 'malformed', mintToken(es, `${text},"sub2":"root"}`)],
    [
      'sub twice, once escaped',
      mintToken(es, `${text},"s\\u0075b":"root"}`),
      'malformed',
      mintToken(es, `${text},"x":1}`),
    ],
    [
      'alg twice',
      mintToken(es, claims, '{"alg":"none","alg":"ES256","kid":"es"}'),
      'malformed',
      mintToken(es, claims, '{"alg":"ES256","kid":"es"}'),
    ],
    ['kid twice', mintToken(es, claims, '{"alg":"ES256","kid":"x","kid":"es"}'), 'malformed', valid],
    ['an unknown crit', withHeader({ crit: ['x'], x: 1 }), 'unsupported', withHeader({ x: 1 })],
    ['an empty crit', withHeader({ crit: [] }), 'unsupported', valid],
    ['b64: false', withHeader({ b64: false, crit: ['b64'] }), 'unsupported', valid],
    ['b64: false without crit', withHeader({ b64: false }), 'unsupported', valid],
    ['jku', withHeader({ jku: 'https://evil.example/jwks' }), 'unsupported', valid],
    ['x5u', withHeader({ x5u: 'https://evil.example/x5u' }), 'unsupported', valid],
    ['x5c', withHeader({ x5c: ['AAAA'] }), 'unsupported', withHeader({ x5t: 'AAAA' })],
    [
      'an embedded jwk that fits the signature',
      mintToken(foreign, claims, { alg: 'ES256', kid: 'es', jwk: foreign.verification.jwk }),
      'unsupported',
      valid,
    ],
    ['a JWE header on three parts', withHeader({ enc: 'A256GCM' }), 'unsupported', valid],
    ['zip', withHeader({ zip: 'DEF' }), 'unsupported', valid],
    ['typ of a DPoP proof', withHeader({ typ: 'dpop+jwt' }), 'unsupported', withHeader({ typ: 'at+jwt' })],
    ['typ of a logout token', withHeader({ typ: 'logout+jwt' }), 'unsupported', withHeader({ typ: 'jwt' })],
    ['typ as a number', withHeader({ typ: 1 }), 'malformed', withHeader({ typ: 'application/AT+JWT' })],
    ['8 KiB and more', padTo(8193), 'too_large', padTo(8100)],
    ['a foreign issuer', withClaims({ iss: 'https://evil.example' }), 'issuer', valid],
    ["our key under the partner's issuer", withClaims({ iss: 'https://partner.example' }), 'issuer', valid],
    [
      "the partner's key under our issuer",
      mintToken(other, claims),
      'issuer',
      mintToken(other, { ...claims, iss: 'https://partner.example' }),
    ],
    ['no issuer', withoutClaim('iss'), 'issuer', valid],
    ['issuer as a list', withClaims({ iss: ['https://issuer.example'] }), 'issuer', valid],
    ['issuer with a slash behind', withClaims({ iss: 'https://issuer.example/' }), 'issuer', valid],
    ['a foreign audience', withClaims({ aud: 'billing' }), 'audience', withClaims({ aud: ['billing', 'trading-api'] })],
    ['no audience', withoutClaim('aud'), 'audience', valid],
    ['an empty list of audiences', withClaims({ aud: [] }), 'audience', withClaims({ aud: ['trading-api'] })],
    ['an audience that is an object', withClaims({ aud: { 'trading-api': true } }), 'malformed', valid],
    ['an audience list with a number', withClaims({ aud: ['trading-api', 1] }), 'malformed', valid],
    ['no exp', withoutClaim('exp'), 'missing_claim', valid],
    ['exp as text', withClaims({ exp: `${seconds + 300}` }), 'malformed', valid],
    ['exp null', withClaims({ exp: null }), 'malformed', valid],
    ['exp infinite', mintToken(es, JSON.stringify(claims).replace(/"exp":\d+/, '"exp":1e999')), 'malformed', valid],
    [
      'expired beyond the skew',
      withClaims({ exp: seconds - 60 - slack }),
      'expired',
      withClaims({ exp: seconds - 59 + slack }),
    ],
    [
      'nbf beyond the skew',
      withClaims({ nbf: seconds + 61 + slack }),
      'not_yet_valid',
      withClaims({ nbf: seconds + 60 - slack }),
    ],
    ['nbf as text', withClaims({ nbf: '0' }), 'malformed', withClaims({ nbf: 0 })],
    ['no iat', withoutClaim('iat'), 'missing_claim', valid],
    [
      'iat in the future, so that T bounds nothing',
      withClaims({ iat: seconds + 61 + slack }),
      'not_yet_valid',
      withClaims({ iat: seconds + 60 - slack }),
    ],
    [
      'iat in the future behind an nbf that has passed',
      withClaims({ iat: seconds + 61 + slack, nbf: 0 }),
      'not_yet_valid',
      withClaims({ iat: seconds, nbf: 0 }),
    ],
    ['exp - iat over T', withClaims({ exp: seconds + 3601 }), 'lifetime', withClaims({ exp: seconds + 3600 })],
    ['no required claim', withoutClaim('tenant_id'), 'missing_claim', valid],
    ['a required claim null', withClaims({ tenant_id: null }), 'missing_claim', withClaims({ tenant_id: 0 })],
    ['a required claim empty', withClaims({ tenant_id: '' }), 'missing_claim', withClaims({ tenant_id: ' ' })],
    [
      'a required claim that is an empty list',
      withClaims({ tenant_id: [] }),
      'missing_claim',
      withClaims({ tenant_id: ['t'] }),
    ],
  ];

  return { authenticators, attacks };
}

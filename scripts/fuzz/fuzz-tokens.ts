import assert from 'node:assert/strict';
import { JWT_ALGORITHMS } from '../../policy/bundle/types.ts';
import { type ParsedJws, parseCompactJws } from '../../sidecar/tokens/parse-compact-jws.ts';
import { mutateText, pick, randomOctets } from './mutate.ts';
import { referenceJson } from './reference-json.ts';
import type { Target } from './target.ts';

const HEADERS = [
  '{"alg":"ES256","kid":"k1","typ":"JWT"}',
  '{"typ":"at+jwt","kid":"k\\u0031","alg":"HS256"}',
  '{"alg":"RS256","kid":"k1","crit":["b64"],"b64":false}',
  '{"alg":"none"}',
  '{"alg":"EdDSA","kid":"k1","jwk":{"kty":"OKP"}}',
];
const CLAIMS = [
  '{"iss":"https://issuer.example","aud":["api"],"sub":"ann","exp":1800000300,"iat":1800000000}',
  '{"sub":"é😀","roles":["a","b"],"realm_access":{"roles":[]},"exp":1.8e9}',
  '{"a":{"b":{"c":{"d":{"e":[[[[1]]]]}}}},"__proto__":{"x":1}}',
  '{}',
];
const PIECES = [
  ...'{}[],:"\\.-_=+/ eE019\n\0',
  ...['"alg":"none",', '"kid":"k1",', '"\\u006bid":"k2",', '"__proto__":', '\\ud800', '[[[[[[[[', '{"a":', '﻿', '\x80'],
  ...['"typ":"JOSE",', '"sub":"x",', 'null', 'true', '1e999', '-0', '"enc":"A128GCM",', 'é'],
];
const OF_TOKENS = [...'.-_=+/ AQgw09', '..', '.e30.', 'e30', 'bnVsbA', 'A'.repeat(64), 'é', '\n'];

/** Compact JWS, as sidecar/tokens reads it, against a slow reader of RFC 7515 §7.1 with a JSON grammar of its own. */
export const tokens: Target = {
  next: (random) => {
    if (random(32) === 0) return randomOctets(80, random);
    const part = (seeds: readonly string[]): string => {
      const text = mutateText(pick(seeds, random), PIECES, random(3), random);
      return Buffer.from(text, random(16) === 0 ? 'latin1' : 'utf8').toString('base64url');
    };
    const token = `${part(HEADERS)}.${part(CLAIMS)}.${Buffer.from(randomOctets(65, random), 'latin1').toString('base64url')}`;
    return random(4) === 0 ? mutateText(token, OF_TOKENS, 2, random) : token;
  },

  check: (token) => {
    const parsed = parseCompactJws(token);
    const expected = reference(token);
    if (typeof parsed === 'string') {
      assert.equal(expected, null, `refused: ${parsed}`);
      return parsed;
    }
    assert.deepEqual({ ...parsed }, expected);
    return 'parsed';
  },
};

/** What a token says; null where it must be refused, for whatever reason. */
function reference(token: string): ParsedJws | null {
  if (token.length > 8192 || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return null;
  const parts = token.split('.').map(octetsOf);
  if (parts.includes(null)) return null;
  const [header, claims] = parts.map((part) => jsonOf(part as Buffer)) as [unknown, unknown];
  if (!isObject(header) || !isObject(claims)) return null;
  const { alg, kid, typ = 'JWT' } = header;
  const unknown = ['crit', 'b64', 'jku', 'jwk', 'x5u', 'x5c', 'enc', 'zip'].some((name) => Object.hasOwn(header, name));
  if (unknown || typeof kid !== 'string' || typeof typ !== 'string') return null;
  if (!/^(application\/)?(at\+)?jwt$/i.test(typ)) return null;
  if (!(JWT_ALGORITHMS as readonly unknown[]).includes(alg)) return null;
  const signingInput = Buffer.from(token.slice(0, token.lastIndexOf('.')));
  return { algorithm: alg as string, kid, claims, signingInput, signature: parts[2] as Buffer };
}

/** Six bits a character (RFC 4648 §5); the bits left over must be zero, and fewer than six. */
function octetsOf(part: string): Buffer | null {
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const octets: number[] = [];
  let held = 0;
  let bits = 0;
  for (const character of part) {
    held = (held << 6) | ALPHABET.indexOf(character);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    octets.push(held >> bits);
    held &= (1 << bits) - 1;
  }
  return bits < 6 && held === 0 ? Buffer.from(octets) : null;
}

function jsonOf(octets: Buffer): unknown {
  const text = octets.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(octets)) return undefined;
  const read = referenceJson(text);
  return read === null || read.twice || read.depth > 16 ? undefined : read.value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

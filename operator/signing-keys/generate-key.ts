import { generateKeyPair, type KeyObject, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import type { JwtAlgorithm } from '../../policy/bundle/types.ts';
import type { KeyMaterial } from '../../policy/keys/keyring.ts';

const generate = promisify(generateKeyPair);

/** 112 bits of strength (NIST SP 800-57), good past 2030; keys here live weeks, and 3072 bits double each verification. */
const RSA_BITS = 2048;

/** As long as the hash (RFC 7518 §3.2). */
const HMAC_BYTES = 32;

const PUBLIC_MEMBERS: ReadonlySet<string> = new Set(['kty', 'crv', 'x', 'y', 'n', 'e']);

/** A new key from the operating system's randomness: kid by RFC 7638 for key pairs, random for secrets. */
export async function generateKey(algorithm: JwtAlgorithm): Promise<KeyMaterial> {
  switch (algorithm) {
    case 'ES256':
      return keyPair(algorithm, (await generate('ec', { namedCurve: 'P-256' })).privateKey);
    case 'RS256':
      return keyPair(algorithm, (await generate('rsa', { modulusLength: RSA_BITS })).privateKey);
    case 'HS256': {
      const jwk = { kty: 'oct', k: randomBytes(HMAC_BYTES).toString('base64url') };
      return { kid: randomBytes(16).toString('base64url'), algorithm, jwk, privateMembers: {} };
    }
  }
}

async function keyPair(algorithm: JwtAlgorithm, privateKey: KeyObject): Promise<KeyMaterial> {
  const members = Object.entries(privateKey.export({ format: 'jwk' }) as Record<string, string>);
  const jwk = Object.fromEntries(members.filter(([name]) => PUBLIC_MEMBERS.has(name)));
  const privateMembers = Object.fromEntries(members.filter(([name]) => !PUBLIC_MEMBERS.has(name)));
  return { kid: await calculateJwkThumbprint(jwk, 'sha256'), algorithm, jwk, privateMembers };
}

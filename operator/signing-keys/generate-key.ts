import { generateKeyPair, type KeyObject, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { calculateJwkThumbprint } from 'jose';
import { KEY_SHAPES, type KeySetAlgorithm } from '../../policy/keys/algorithms.ts';
import type { KeyMaterial } from '../../policy/keys/keyring.ts';

const generate = promisify(generateKeyPair);

/** 112 bits of strength (NIST SP 800-57), good past 2030; keys here live weeks, and 3072 bits double each verification. */
const RSA_BITS = 2048;

/** A new key from the operating system's randomness: kid by RFC 7638 for key pairs, random for secrets. */
export async function generateKey(algorithm: KeySetAlgorithm): Promise<KeyMaterial> {
  const { kty, crv, secretBytes = 0 } = KEY_SHAPES[algorithm];
  switch (kty) {
    case 'oct': {
      const jwk = { kty, k: randomBytes(secretBytes).toString('base64url') };
      return { kid: randomBytes(16).toString('base64url'), algorithm, jwk, privateMembers: {} };
    }
    case 'RSA':
      return keyPair(algorithm, (await generate('rsa', { modulusLength: RSA_BITS })).privateKey);
    case 'EC':
      return keyPair(algorithm, (await generate('ec', { namedCurve: crv ?? '' })).privateKey);
    case 'OKP':
      return keyPair(algorithm, (await generate('ed25519')).privateKey);
  }
}

async function keyPair(algorithm: KeySetAlgorithm, privateKey: KeyObject): Promise<KeyMaterial> {
  const { members, privateMembers } = KEY_SHAPES[algorithm];
  const exported = privateKey.export({ format: 'jwk' }) as Record<string, string>;
  const pick = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, exported[name] ?? '']));
  const jwk = pick(['kty', ...members]);
  return { kid: await calculateJwkThumbprint(jwk, 'sha256'), algorithm, jwk, privateMembers: pick(privateMembers) };
}

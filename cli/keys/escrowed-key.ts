import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { PortcullisError } from '../../policy/errors.ts';
import { isSymmetric, KEY_SHAPES } from '../../policy/keys/algorithms.ts';
import { decodeEscrowedKey } from '../../policy/keys/escrow-document.ts';
import type { KeyMaterial } from '../../policy/keys/keyring.ts';

/**
 * The key `kid` of a key set (`namespace/name`) in a decrypted message. Anyone can encrypt to a public key, so all is
 * checked that can be. Throws `keyring_invalid`, saying what is wrong and never a value.
 */
export async function readEscrowedKey(text: string, keySet: string, kid: string): Promise<KeyMaterial> {
  const found = decodeEscrowedKey(text);
  if (found.keySet !== keySet) throw invalid(`it is of key set ${found.keySet}`);
  if (found.key.kid !== kid) throw invalid(`it holds key ${found.key.kid}`);
  const problem = await problemOf(found.key);
  if (problem !== null) throw invalid(problem);
  return found.key;
}

async function problemOf({ kid, algorithm, jwk, privateMembers }: KeyMaterial): Promise<string | null> {
  const { kty, crv, secretBytes } = KEY_SHAPES[algorithm];
  if (jwk['kty'] !== kty || jwk['crv'] !== crv) return `its key is not of ${algorithm}`;
  if (isSymmetric(algorithm)) {
    const secret = Buffer.from(jwk['k'] ?? '', 'base64url');
    const isWhole = secret.length === secretBytes && secret.toString('base64url') === jwk['k'];
    return isWhole ? null : `its secret is not the ${secretBytes} bytes of ${algorithm}`;
  }
  if ((await calculateJwkThumbprint(jwk, 'sha256')) !== kid)
    return 'its kid is not the thumbprint of its key (RFC 7638)';
  return privateMembers === null || areHalves(jwk, privateMembers) ? null : 'its two halves do not belong together';
}

function areHalves(jwk: KeyMaterial['jwk'], privateMembers: Readonly<Record<string, string>>): boolean {
  const hash = jwk['kty'] === 'OKP' ? null : 'sha256';
  const data = Buffer.from('portcullis');
  try {
    const signature = sign(hash, data, createPrivateKey({ key: { ...jwk, ...privateMembers }, format: 'jwk' }));
    return verify(hash, data, createPublicKey({ key: jwk, format: 'jwk' }), signature);
  } catch {
    // Not what OpenSSL says of it, which may quote it.
    return false;
  }
}

function invalid(what: string): PortcullisError {
  return new PortcullisError('keyring_invalid', what);
}

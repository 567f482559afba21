import { type CryptoKey, importJWK, SignJWT } from 'jose';
import type { IssuingKey } from '../../policy/keys/outputs.ts';
import type { TokenSigner } from './ports.ts';

/**
 * Signs by the key that `current` returns at that moment, imported once for as long as it stays the same object. The claims are
 * signed as they are, with `iat` and `exp` added. No token outlives what its key has promised (`maxTokenLifetimeMs`).
 */
export function createSigner(current: () => IssuingKey | null): TokenSigner {
  const imported = new WeakMap<IssuingKey, Promise<CryptoKey | Uint8Array>>();
  return {
    async sign(claims, lifetimeMs, now) {
      const issuing = current();
      if (issuing === null) return null;
      const { kid, algorithm, privateJwk, maxTokenLifetimeMs } = issuing;
      const key = imported.get(issuing) ?? importJWK({ ...privateJwk }, algorithm);
      imported.set(issuing, key);
      const iat = Math.floor(now / 1000);
      const expiresIn = Math.floor(Math.min(lifetimeMs, maxTokenLifetimeMs) / 1000);
      const token = await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: algorithm, kid, typ: 'JWT' })
        .setIssuedAt(iat)
        .setExpirationTime(iat + expiresIn)
        .sign(await key);
      return { token, expiresIn };
    },
  };
}

import { activeKey, type Key, type Keyring } from './keyring.ts';
import type { KeySetOutputs, PublicJwk } from './outputs.ts';
import { isSymmetric } from './spec.ts';

/** The outputs of a keyring, and of nothing else: one serial has one content, whoever renders it. */
export function render(keyring: Keyring): KeySetOutputs {
  const active = activeKey(keyring);
  const publicKeys = keyring.keys.filter((key) => !isSymmetric(key.algorithm)).map(publicJwk);
  return {
    serial: keyring.serial,
    verificationKeys: keyring.keys.map(({ kid, algorithm, jwk }) => ({ kid, algorithm, jwk })),
    jwks: publicKeys.length === 0 ? null : { keys: publicKeys },
    issuing: {
      kid: active.kid,
      algorithm: active.algorithm,
      privateJwk: { ...active.jwk, ...active.privateMembers },
      maxTokenLifetimeMs: active.graces.maxTokenLifetimeMs,
    },
  };
}

function publicJwk(key: Key): PublicJwk {
  return { ...key.jwk, kid: key.kid, alg: key.algorithm, use: 'sig' };
}

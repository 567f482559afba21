import { publicJwkSet } from '../jwks/public-jwk-set.ts';
import { isJwt } from './algorithms.ts';
import { activeKey, type Key, type Keyring } from './keyring.ts';
import type { FernetOutput, KeySetOutputs } from './outputs.ts';

/** The outputs of a keyring, and of nothing else: one serial has one content, whoever renders it. */
export function render(keyring: Keyring): KeySetOutputs {
  const { serial } = keyring;
  const { kid, algorithm, jwk, privateMembers, graces } = activeKey(keyring);
  if (!isJwt(algorithm)) {
    return { serial, verificationKeys: [], jwks: null, issuing: null, fernet: multiFernet(keyring.keys) };
  }
  const verificationKeys = keyring.keys.flatMap(({ kid, algorithm, jwk }) =>
    isJwt(algorithm) ? [{ kid, algorithm, jwk }] : [],
  );
  return {
    serial,
    verificationKeys,
    jwks: publicJwkSet(verificationKeys),
    issuing: {
      kid,
      algorithm,
      privateJwk: { ...jwk, ...privateMembers },
      maxTokenLifetimeMs: graces.maxTokenLifetimeMs ?? 0,
    },
    fernet: null,
  };
}

const PLACES = { Active: 0, Standby: 1, Retired: 2 };

function multiFernet(keys: readonly Key[]): readonly FernetOutput[] {
  return keys
    .toReversed()
    .toSorted((a, b) => PLACES[a.phase] - PLACES[b.phase] || retiredAt(b) - retiredAt(a))
    .map(({ kid, jwk }) => ({ kid, key: `${jwk['k']}=` }));
}

function retiredAt(key: Key): number {
  return key.phase === 'Retired' ? key.retiredAt : 0;
}

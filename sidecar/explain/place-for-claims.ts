import type { AccessBundle, JwtAuthenticator } from '../../policy/bundle/types.ts';

/** Stands for API keys and clients that sign: no token verifies by it, since it has no key. */
const STAND_IN: JwtAuthenticator = {
  name: 'claims',
  keySet: null,
  keySetSerial: 0,
  issuer: '',
  audiences: [''],
  clockSkewMs: 0,
  maxTokenLifetimeMs: 1,
  requiredClaims: [],
  from: [{ kind: 'header', header: 'portcullis-claims', scheme: '' }],
  keys: [],
};

/**
 * A policy in which claims that are given have a place in the head of a request: also where its identities come from API keys,
 * signatures, or tokens in a query alone. A policy that authenticates nobody stays as it is.
 */
export function placeForClaims(access: AccessBundle): AccessBundle {
  const { jwt, apiKeys = [], signedRequests = [] } = access;
  const hasPlace = jwt[0]?.from.some(({ kind }) => kind !== 'query') === true;
  if (hasPlace || jwt.length + apiKeys.length + signedRequests.length === 0) return access;
  return { ...access, jwt: [STAND_IN, ...jwt] };
}

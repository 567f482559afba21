import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { PortcullisError } from '../errors.ts';
import { decodeBundle } from './decode.ts';
import { encodeBundle } from './encode.ts';
import { exampleAccessBundle, testPrivateKey } from './testing/example-bundles.ts';
import type { IssuerBundle, TokenEndpoints } from './tokens.ts';

const privateKey = testPrivateKey(1);
const place = { publicKey: createPublicKey(privateKey), namespace: 'trading', name: 'orders', afterSerial: 0 };

const ISSUER: IssuerBundle = {
  kind: 'Issuer',
  namespace: 'trading',
  name: 'orders',
  serial: 7,
  keySet: 'trading/keys',
  keySetSerial: 3,
  signingKey: { kid: 'k', algorithm: 'ES256', privateJwk: { kty: 'EC', d: 'd' }, maxTokenLifetimeMs: 3_600_000 },
  users: {
    hashes: { ann: 'hash', ['__proto__']: 'hash' },
    claims: { ann: { roles: ['trader'], nested: { a: [1, null] } } },
  },
};
const ENDPOINTS: TokenEndpoints = {
  issuer: 'https://auth.example',
  audiences: ['api'],
  kids: ['k'],
  accessLifetimeMs: 900_000,
  refreshLifetimeMs: 3_600_000,
  refreshGraceMs: 0,
  clockSkewMs: 60_000,
  login: { path: '/auth/login', upstream: null },
  register: { path: '/auth/new', upstream: '/internal/new', password: { minLength: 8, classes: ['Upper'] } },
  refresh: { path: '/auth/refresh' },
  logout: { path: '/auth/logout' },
  delivery: 'Cookie',
};
const TOKENS = { keySet: 'trading/keys', keySetSerial: 3, jwksPath: '/jwks', jwksMaxAgeMs: 1, jwks: null };

function refused(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof PortcullisError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'taken';
}

describe('bundles of tokens', () => {
  const access = (endpoints: object) =>
    decodeBundle(
      encodeBundle(
        { ...exampleAccessBundle, tokens: { ...TOKENS, endpoints: endpoints as TokenEndpoints } },
        privateKey,
      ),
      { ...place, kind: 'Access' },
    );
  const issuer = (change: object) =>
    decodeBundle(encodeBundle({ ...ISSUER, ...change } as IssuerBundle, privateKey), { ...place, kind: 'Issuer' });

  it('read back what was written', () => {
    assert.deepEqual(issuer({}), ISSUER);
    assert.deepEqual(Object.keys(issuer({}).users?.hashes ?? {}), ['ann', '__proto__']);
    for (const change of [{ signingKey: null }, { users: null }])
      assert.deepEqual(issuer(change), { ...ISSUER, ...change });
    assert.deepEqual(access(ENDPOINTS).tokens?.endpoints, ENDPOINTS);
    const least = { ...ENDPOINTS, register: null, refresh: null, logout: null };
    assert.deepEqual(access(least).tokens?.endpoints, least);
  });

  it('are of one kind', () => {
    const file = encodeBundle(ISSUER, privateKey);
    assert.match(
      refused(() => decodeBundle(file, { ...place, kind: 'Access' })),
      /^bundle_foreign: bundle is for Issuer/,
    );
    const other = encodeBundle(exampleAccessBundle, privateKey);
    assert.match(
      refused(() => decodeBundle(other, { ...place, kind: 'Issuer' })),
      /^bundle_foreign/,
    );
  });

  const { signingKey } = ISSUER;
  const broken: readonly (readonly [string, () => unknown, RegExp])[] = [
    ['a member of a later version', () => issuer({ pepper: 'x' }), /pepper: must be absent/],
    [
      'a key that signs by nothing',
      () => issuer({ signingKey: { ...signingKey, algorithm: 'none' } }),
      /signingKey.algorithm/,
    ],
    [
      'a key without a promise',
      () => issuer({ signingKey: { ...signingKey, maxTokenLifetimeMs: 0 } }),
      /maxTokenLifetimeMs/,
    ],
    ['an empty hash', () => issuer({ users: { hashes: { ann: '' }, claims: {} } }), /users.hashes.ann/],
    [
      'claims that are a list',
      () => issuer({ users: { hashes: {}, claims: { ann: [] } } }),
      /users.claims.ann: must be an object/,
    ],
    [
      'a key in the access bundle',
      () => access({ ...ENDPOINTS, signingKey }),
      /tokens.endpoints.signingKey: must be absent/,
    ],
    [
      'users in the access bundle',
      () => access({ ...ENDPOINTS, login: { ...ENDPOINTS.login, users: {} } }),
      /login.users: must be absent/,
    ],
    ['tokens that live for no time', () => access({ ...ENDPOINTS, accessLifetimeMs: 0 }), /accessLifetimeMs/],
    ['a login that is not there', () => access({ ...ENDPOINTS, login: null }), /login: must be an object/],
  ];
  for (const [name, read, says] of broken) {
    it(`refuse ${name}, without showing what is there`, () => {
      const problem = refused(read);
      assert.match(problem, says);
      assert.doesNotMatch(problem, /hash'|"d"/);
    });
  }
});

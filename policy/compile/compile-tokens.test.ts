import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccessPolicy } from '../api/access-policy.ts';
import { type Decoded, decodeResource } from '../api/decode.ts';
import { formatPath } from '../api/problem.ts';
import { API_VERSION } from '../api/resource.ts';
import type { SigningKeySet } from '../api/signing-key-set.ts';
import type { JwtAlgorithm } from '../bundle/types.ts';
import { compileAccessPolicy } from './compile-access-policy.ts';
import type { References, ResolvedKeySet } from './references.ts';

const PUBLIC = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' };
const TERMS = { issuer: 'i', audiences: ['a'], maxTokenLifetime: '1h' };

function decode(kind: string, namespace: string, name: string, spec: object): Decoded {
  return decodeResource({ apiVersion: API_VERSION, kind, metadata: { namespace, name }, spec });
}

function keySet(namespace: string, algorithm: JwtAlgorithm | 'Fernet', more: object = {}): ResolvedKeySet {
  const terms = algorithm === 'Fernet' ? {} : TERMS;
  const decoded = decode('SigningKeySet', namespace, 'keys', { algorithm, ...terms, ...more });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  const jwk = algorithm === 'HS256' ? { kty: 'oct', k: 'secret' } : { ...PUBLIC, d: 'secret' };
  const verificationKeys = algorithm === 'Fernet' ? [] : [{ kid: 'k', algorithm, jwk }];
  return { resource: decoded.resource as SigningKeySet, outputs: { serial: 7, verificationKeys } };
}

function policy(tokens: object, more: object = {}): AccessPolicy {
  const decoded = decode('AccessPolicy', 'shop', 'orders', { rules: [], tokens, ...more });
  assert.ok('resource' in decoded, JSON.stringify(decoded));
  return decoded.resource as AccessPolicy;
}

function compile(resource: AccessPolicy, ...keySets: ResolvedKeySet[]) {
  const references: References = {
    keySets,
    secrets: [],
    namespaces: [{ name: 'shop', labels: { team: 'shop' } }],
    storeOverride: null,
    defaultStore: null,
    defaultClientIp: null,
  };
  const { content, findings } = compileAccessPolicy(resource, references);
  return {
    tokens: content?.tokens,
    said: findings.map(({ severity, path, message }) => `${severity} ${formatPath(path)}: ${message}`),
  };
}

describe('compileTokens', () => {
  it('resolves the key set and fills in the path', () => {
    const { tokens, said } = compile(policy({ keySetRef: { name: 'keys' } }), keySet('shop', 'ES256'));
    assert.deepEqual(tokens, {
      keySet: 'shop/keys',
      keySetSerial: 7,
      jwksPath: '/.well-known/jwks.json',
      jwksMaxAgeMs: 600_000,
      jwks: { keys: [{ ...PUBLIC, kid: 'k', alg: 'ES256', use: 'sig' }] },
    });
    assert.deepEqual(said, []);
  });

  it('has no JWKS of secrets', () => {
    const { tokens } = compile(policy({ keySetRef: { name: 'keys' } }), keySet('shop', 'HS256'));
    assert.equal(tokens?.jwks, null);
    assert.doesNotMatch(JSON.stringify(tokens), /secret/);
  });

  const shared = { usableFrom: { namespaceSelector: { matchLabels: { team: 'shop' } } } };
  for (const [name, set, ref, outcome] of [
    ['a set that is shared', keySet('auth', 'ES256', shared), { name: 'keys', namespace: 'auth' }, null],
    [
      'a set that is not',
      keySet('auth', 'ES256'),
      { name: 'keys', namespace: 'auth' },
      /keySetRef.namespace: .* may not/,
    ],
    ['no such set', keySet('auth', 'ES256'), { name: 'keys' }, /keySetRef.name: key set shop\/keys does not exist/],
    ['Fernet', keySet('shop', 'Fernet'), { name: 'keys' }, /keySetRef.name: .* is for Fernet/],
    ['no key yet', { ...keySet('shop', 'ES256'), outputs: null }, { name: 'keys' }, /has no key yet/],
  ] as const) {
    it(`${name}: ${outcome === null ? 'used' : 'refused'}`, () => {
      const { tokens, said } = compile(policy({ keySetRef: ref }), set);
      assert.equal(tokens !== undefined, outcome === null, said.join());
      if (outcome !== null) assert.match(said.join(), outcome);
    });
  }

  const rule = (match: object, allow = [{ anonymous: true }]) => ({ name: 'r', match, allow });
  const loose = { pathMatching: { case: 'Insensitive', trailingSlash: 'Ignore' } };
  for (const [name, match, warned, more] of [
    ['its very path', { paths: ['/x', '/.well-known/jwks.json'] }, 'paths[1]'],
    ['its path, encoded', { paths: ['/.well-known/%6Awks.json'] }, 'paths[0]'],
    ['its path, for GET', { paths: ['/.well-known/jwks.json'], methods: ['GET'] }, 'paths[0]'],
    ['its path as the policy compares', { paths: ['/.well-known/JWKS.json'] }, 'paths[0]', loose],
    ['its path, for POST', { paths: ['/.well-known/jwks.json'], methods: ['POST'] }, null],
    ['a wider pattern', { paths: ['/**', '/.well-known/{file}'] }, null],
    ['another path', { paths: ['/.well-known/JWKS.json'] }, null],
  ] as const) {
    it(`a rule that names ${name}: ${warned === null ? 'nothing to say' : 'warning'}`, () => {
      const resource = policy({ keySetRef: { name: 'keys' } }, { rules: [rule(match)], ...more });
      const { said } = compile(resource, keySet('shop', 'ES256'));
      assert.equal(said.length, warned === null ? 0 : 1, said.join());
      if (warned !== null) assert.ok(said[0]?.startsWith(`warning spec.rules[0].match.${warned}: is tokens.jwksPath`));
    });
  }

  for (const path of [
    'jwks',
    '/',
    '/jwks/',
    '/a//b',
    '/{a}',
    '/**',
    '/a/../b',
    '/a/.',
    '/a;b',
    '/a?b',
    '/%61',
    '/a b',
    '',
  ]) {
    it(`refuses ${JSON.stringify(path)} as a path, and compiling does not fail on it`, () => {
      const decoded = decode('AccessPolicy', 'shop', 'orders', {
        rules: [],
        tokens: { keySetRef: { name: 'keys' }, jwksPath: path },
      });
      assert.ok('problems' in decoded && 'faulty' in decoded);
      assert.equal(formatPath(decoded.problems[0]!.path), 'spec.tokens.jwksPath');
      if (decoded.faulty?.kind === 'AccessPolicy') compile(decoded.faulty, keySet('shop', 'ES256'));
    });
  }

  it('takes plain paths', () => {
    for (const jwksPath of ['/jwks', '/.well-known/jwks.json', '/a/b-c_d~e/.f.g'])
      policy({ keySetRef: { name: 'keys' }, jwksPath });
  });
});

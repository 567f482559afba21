import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessPolicy } from '../api/access-policy.ts';
import { decodeResource } from '../api/decode.ts';
import { formatPath } from '../api/problem.ts';
import { API_VERSION } from '../api/resource.ts';
import type { SigningKeySet } from '../api/signing-key-set.ts';
import type { JwtAlgorithm } from '../bundle/types.ts';
import { compileAccessPolicy } from './compile-access-policy.ts';
import type { References, ResolvedKeySet } from './references.ts';

function decoded<R>(kind: string, metadata: object, spec: object): R {
  const result = decodeResource({ apiVersion: API_VERSION, kind, metadata, spec });
  assert.ok('resource' in result, JSON.stringify(result));
  return result.resource as R;
}

function keySet(namespace: string, name: string, more: object = {}, held?: readonly JwtAlgorithm[]): ResolvedKeySet {
  const spec = { algorithm: 'ES256', issuer: 'i', audiences: ['a'], maxTokenLifetime: '1h', ...more };
  const keys = held ?? [spec.algorithm as JwtAlgorithm];
  return {
    resource: decoded<SigningKeySet>('SigningKeySet', { namespace, name }, spec),
    outputs: { serial: 7, verificationKeys: keys.map((algorithm) => ({ kid: algorithm, algorithm, jwk: {} })) },
  };
}

function policy(keySetRef: object, more: object = {}): AccessPolicy {
  const spec = { authentication: { jwt: [{ name: 'trading', keySetRef }] }, rules: [], ...more };
  return decoded<AccessPolicy>('AccessPolicy', { namespace: 'orders', name: 'orders' }, spec);
}

const NOTHING: References = {
  keySets: [],
  secrets: [],
  namespaces: [{ name: 'orders', labels: { team: 'trading' } }],
  storeOverride: null,
  defaultStore: null,
  defaultClientIp: null,
};

const errors = (compiled: ReturnType<typeof compileAccessPolicy>) =>
  compiled.findings
    .filter(({ severity }) => severity === 'error')
    .map(({ code, path, message }) => `${code} ${formatPath(path)}: ${message}`);

const forTrading = { usableFrom: { namespaceSelector: { matchLabels: { team: 'trading' } } } };
const forRisk = { usableFrom: { namespaceSelector: { matchLabels: { team: 'risk' } } } };
const forAll = { usableFrom: { namespaceSelector: {} } };

const REF = 'spec.authentication.jwt[0].keySetRef';
const REFUSED = `RefNotPermitted ${REF}.namespace: key set auth/trading does not exist, or may not be used from namespace orders; in its spec its owner writes usableFrom: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: orders}}} (not with an HS algorithm)`;

const cases: readonly [name: string, keySets: readonly ResolvedKeySet[], ref: object, outcome: string | string[]][] = [
  ['the own namespace', [keySet('orders', 'trading')], { name: 'trading' }, ['ES256']],
  ['the own namespace, said', [keySet('orders', 'trading')], { name: 'trading', namespace: 'orders' }, ['ES256']],
  ['the own namespace, secrets', [keySet('orders', 'trading', { algorithm: 'HS256' })], { name: 'trading' }, ['HS256']],
  ['a selected namespace', [keySet('auth', 'trading', forTrading)], { name: 'trading', namespace: 'auth' }, ['ES256']],
  ['every namespace', [keySet('auth', 'trading', forAll)], { name: 'trading', namespace: 'auth' }, ['ES256']],
  [
    'secrets that a key set still holds do not cross',
    [keySet('auth', 'trading', forAll, ['HS256', 'ES256'])],
    { name: 'trading', namespace: 'auth' },
    ['ES256'],
  ],
  [
    'a key that its resource revokes, though its keyring has not been able to take note of it',
    [keySet('orders', 'trading', { revocations: [{ kid: 'ES256' }] }, ['ES256', 'RS256'])],
    { name: 'trading' },
    ['RS256'],
  ],
  [
    'no key but a revoked one: nobody gets in, and no older bundle stays',
    [keySet('auth', 'trading', { ...forAll, revocations: [{ kid: 'ES256' }] }, ['HS256', 'ES256'])],
    { name: 'trading', namespace: 'auth' },
    [],
  ],
  [
    'a key set that still holds only secrets',
    [keySet('auth', 'trading', forAll, ['HS256'])],
    { name: 'trading', namespace: 'auth' },
    `RefNotFound ${REF}.name: key set auth/trading has no key yet`,
  ],
  ['a namespace not selected', [keySet('auth', 'trading', forRisk)], { name: 'trading', namespace: 'auth' }, REFUSED],
  ['no word of other namespaces', [keySet('auth', 'trading')], { name: 'trading', namespace: 'auth' }, REFUSED],
  ['no such key set: the same answer', [], { name: 'trading', namespace: 'auth' }, REFUSED],
  [
    'a name with a slip: only usable key sets are named',
    [keySet('orders', 'own'), keySet('auth', 'shared', forAll), keySet('auth', 'hidden'), keySet('hr', 'x', forRisk)],
    { name: 'trading' },
    `RefNotFound ${REF}.name: key set orders/trading does not exist; there are orders/own, auth/shared`,
  ],
  [
    'others have key sets, not for us',
    [keySet('auth', 'trading')],
    { name: 'trading' },
    `RefNotFound ${REF}.name: key set orders/trading does not exist; there are none; add a SigningKeySet`,
  ],
];

for (const [name, keySets, ref, outcome] of cases) {
  test(`key sets: ${name}`, () => {
    const compiled = compileAccessPolicy(policy(ref), { ...NOTHING, keySets });
    if (typeof outcome === 'string') assert.deepEqual(errors(compiled), [outcome]);
    else
      assert.deepEqual(
        compiled.content?.jwt[0]?.keys.map(({ kid }) => kid),
        outcome,
      );
  });
}

test('key sets: a policy of a namespace that is not known uses those of its own only', () => {
  const keySets = [keySet('auth', 'trading', forAll)];
  const compiled = compileAccessPolicy(policy({ name: 'trading', namespace: 'auth' }), {
    ...NOTHING,
    keySets,
    namespaces: [],
  });
  assert.deepEqual(errors(compiled), [REFUSED]);
});

test("key sets: a symmetric key set's own word is not enough", () => {
  const { resource, outputs } = keySet('auth', 'trading', forAll);
  const symmetric: SigningKeySet = { ...resource, spec: { ...resource.spec, algorithm: 'HS256' } };
  const compiled = compileAccessPolicy(policy({ name: 'trading', namespace: 'auth' }), {
    ...NOTHING,
    keySets: [{ resource: symmetric, outputs }],
  });
  assert.deepEqual(errors(compiled), [REFUSED]);
});

const SECRET = {
  namespace: 'orders',
  name: 'redis',
  labels: { 'portcullis.dev/allow-reference': 'true' },
  data: { url: 'redis://own' },
};

const ofTheOperator: References = {
  ...NOTHING,
  keySets: [keySet('orders', 'trading')],
  secrets: [SECRET],
  defaultStore: 'redis://operator',
  defaultClientIp: { trustedHops: 2, trustedProxies: [] },
};

const own = { store: { redis: { secretRef: { name: 'redis' } } } };
const flag = { ...ofTheOperator, storeOverride: 'redis://flag' };
const said: readonly [
  name: string,
  spec: object,
  references: References,
  store?: string | undefined,
  trustedHops?: number,
][] = [
  ['nothing', {}, ofTheOperator],
  ['its own store', own, ofTheOperator, 'redis://own'],
  ['no hops', { clientIP: { trustedHops: 0 } }, ofTheOperator, undefined, 0],
  ['a store that replaces all', own, flag, 'redis://flag'],
  ['a store that replaces the default', {}, flag, 'redis://flag'],
];

for (const [name, spec, references, store, trustedHops] of said) {
  test(`what a policy says stays apart from the operator's defaults: ${name}`, () => {
    const { content } = compileAccessPolicy(policy({ name: 'trading' }, spec), references);
    assert.equal(content?.store?.redisUrl, store);
    assert.equal(content?.clientIp?.trustedHops, trustedHops);
    const clientIp = { trustedHops: 2, trustedProxies: [] };
    assert.deepEqual(content?.defaults, { store: { redisUrl: 'redis://operator' }, clientIp });
  });
}

test('defaults of the operator: none', () => {
  const references = { ...NOTHING, keySets: ofTheOperator.keySets };
  const { content } = compileAccessPolicy(policy({ name: 'trading' }), references);
  assert.deepEqual(content?.defaults, { store: null, clientIp: { trustedHops: 0, trustedProxies: [] } });
});

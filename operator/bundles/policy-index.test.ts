import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { API_VERSION } from '../../policy/api/resource.ts';
import { ObjectStore } from '../kube/object-store.ts';
import type { ConfigMap, KubeObject, Secret } from '../kube/objects.ts';
import type { CustomResource } from '../resources.ts';
import { keySetsUsedBy, watchPolicies } from './policy-index.ts';

function store<T extends KubeObject>(): ObjectStore<T> {
  return new ObjectStore<T>((error) => {
    throw error;
  });
}

const jwt = (name: string, namespace?: string) => ({
  name,
  keySetRef: { name, ...(namespace !== undefined && { namespace }) },
});
const policy = (name: string, spec: object): CustomResource => ({
  apiVersion: API_VERSION,
  kind: 'AccessPolicy',
  metadata: { namespace: 'trading', name },
  spec,
});
const ownStore = policy('own-store', { store: { redis: { secretRef: { name: 'redis' } } } });
const local = policy('local', { authentication: { jwt: [jwt('keys')] } });
const shared = policy('shared', { authentication: { jwt: [jwt('keys', 'auth'), jwt('keys')] } });
const issuing = policy('issuing', { tokens: { keySetRef: { name: 'signing' } } });
const external = policy('external', {
  authentication: {
    jwt: [
      {
        name: 'login',
        jwks: { uri: 'https://login.example/', caSecretRef: { name: 'login-ca' } },
        issuer: 'login',
        audiences: ['api'],
      },
    ],
  },
});
const egress: CustomResource = {
  ...policy('egress', {
    egress: [
      {
        name: 'broker',
        url: 'https://broker.example',
        allow: [{ paths: ['/**'] }],
        rate: 'Unlimited',
        caSecretRef: { name: 'broker-ca' },
        credentials: { secretRef: { name: 'broker-key' }, header: 'x-key', fernetKeySetRef: { name: 'at-rest' } },
      },
    ],
  }),
  kind: 'RateLimitPolicy',
};
const credentials = policy('credentials', {
  authentication: {
    apiKeys: [{ name: 'people', secretRef: { name: 'people-keys' } }],
    signedRequests: [{ name: 'bots', secretRef: { name: 'bot-hmac' } }],
  },
});
const broken = policy('broken', { rules: 'all' });

describe('watching policies', () => {
  const make = () => ({
    policies: store<CustomResource>(),
    bundles: store<Secret>(),
    sources: {
      keySets: store<CustomResource>(),
      ownSecrets: store<Secret>(),
      referableSecrets: store<Secret>(),
      referableConfigMaps: store<ConfigMap>(),
      namespaces: store<KubeObject>(),
      namespace: 'portcullis',
      defaults: { storeSecret: 'store', clientIp: { trustedHops: 0, trustedProxies: [] } },
    },
  });
  let caches: ReturnType<typeof make>;
  let enqueued: string[];
  let stop: () => void;
  beforeEach(() => {
    caches = make();
    enqueued = [];
    caches.policies.replaceAll([ownStore, local, shared, issuing, external, broken]);
    stop = watchPolicies('Access', caches, (key) => enqueued.push(key.replace('trading/', '')));
  });
  const put = (cache: ObjectStore<KubeObject>, name: string, namespace?: string) =>
    cache.set({ metadata: { name, ...(namespace !== undefined && { namespace }) } });

  it('enqueues when there is a change of a ConfigMap with a schema', () => {
    const body = { schemaRef: { configMap: { name: 'schemas', key: 'order.json' } } };
    const rule = { name: 'orders', match: { paths: ['/orders'] }, allow: [{ anonymous: true }], body };
    caches.policies.set(policy('checked', { rules: [rule, { ...rule, name: 'more', match: { paths: ['/more'] } }] }));
    enqueued = [];
    put(caches.sources.referableConfigMaps, 'schemas', 'other');
    put(caches.sources.referableConfigMaps, 'others', 'trading');
    assert.deepEqual(enqueued, []);
    put(caches.sources.referableConfigMaps, 'schemas', 'trading');
    assert.deepEqual(enqueued, ['checked']);
  });

  it('enqueues all that are there', () => {
    assert.deepEqual(enqueued, ['own-store', 'local', 'shared', 'issuing', 'external', 'broken']);
  });

  const rows: readonly [what: string, change: () => void, expected: readonly string[]][] = [
    ['a policy', () => caches.policies.set({ ...local }), ['local']],
    ['a deleted policy', () => caches.policies.delete(local.metadata), ['local']],
    ['its bundle', () => put(caches.bundles, 'portcullis-access-local', 'trading'), ['local']],
    ["another kind's bundle", () => put(caches.bundles, 'portcullis-limits-local', 'trading'), []],
    ['a key set', () => put(caches.sources.keySets, 'keys', 'trading'), ['local', 'shared']],
    ["another namespace's key set", () => put(caches.sources.keySets, 'keys', 'auth'), ['shared']],
    ['a key set of no use', () => put(caches.sources.keySets, 'keys', 'other'), []],
    ['the keys', () => put(caches.sources.ownSecrets, 'auth.keys-outputs', 'portcullis'), ['shared']],
    [
      'the keys of tokens that are issued',
      () => put(caches.sources.ownSecrets, 'trading.signing-outputs', 'portcullis'),
      ['issuing'],
    ],
    ['the keyring', () => put(caches.sources.ownSecrets, 'auth.keys-keyring', 'portcullis'), []],
    [
      "the operator's store",
      () => put(caches.sources.ownSecrets, 'store', 'portcullis'),
      ['local', 'shared', 'issuing', 'external', 'broken'],
    ],
    ['a Secret it names', () => put(caches.sources.referableSecrets, 'redis', 'trading'), ['own-store']],
    ["its issuer's authorities", () => put(caches.sources.referableSecrets, 'login-ca', 'trading'), ['external']],
    ["another namespace's Secret", () => put(caches.sources.referableSecrets, 'redis', 'other'), []],
    ['the namespace', () => put(caches.sources.namespaces, 'trading'), ['shared']],
  ];
  for (const [what, change, expected] of rows) {
    it(`enqueues when there is a change of ${what}`, () => {
      enqueued = [];
      change();
      assert.deepEqual(enqueued, expected);
    });
  }

  it('follows what a policy names, and forgets what it named', () => {
    caches.policies.set({ ...shared, metadata: local.metadata });
    caches.policies.delete(shared.metadata);
    enqueued = [];
    put(caches.sources.keySets, 'keys', 'auth');
    assert.deepEqual(enqueued, ['local']);
  });

  for (const name of ['people-keys', 'bot-hmac']) {
    it(`follows what authentication names: ${name}`, () => {
      caches.policies.replaceAll([credentials]);
      enqueued = [];
      put(caches.sources.referableSecrets, name, 'trading');
      assert.deepEqual(enqueued, ['credentials']);
    });
  }

  const ofEgress: readonly [what: string, change: () => void][] = [
    ['the credential', () => put(caches.sources.referableSecrets, 'broker-key', 'trading')],
    ['the authorities', () => put(caches.sources.referableSecrets, 'broker-ca', 'trading')],
    ['the key set', () => put(caches.sources.keySets, 'at-rest', 'trading')],
    ['its keys', () => put(caches.sources.ownSecrets, 'trading.at-rest-outputs', 'portcullis')],
  ];
  for (const [what, change] of ofEgress) {
    it(`follows what egress names: ${what}`, () => {
      caches.policies.replaceAll([egress]);
      enqueued = [];
      change();
      assert.deepEqual(enqueued, ['egress']);
      assert.deepEqual(keySetsUsedBy(egress), [], 'no pod is waited for before its next key is used');
    });
  }

  it('ends', () => {
    stop();
    enqueued = [];
    caches.policies.set({ ...local });
    put(caches.sources.keySets, 'keys', 'trading');
    assert.deepEqual(enqueued, []);
  });

  it('tells the key sets of a policy', () => {
    assert.deepEqual(keySetsUsedBy(shared), ['auth/keys', 'trading/keys']);
    for (const without of [external, broken]) assert.deepEqual(keySetsUsedBy(without), []);
  });
});

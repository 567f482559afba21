import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { LABELS } from '../../policy/api/names.ts';
import { API_VERSION } from '../../policy/api/resource.ts';
import { decodeBundle } from '../../policy/bundle/decode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import type { IssuerBundle } from '../../policy/bundle/tokens.ts';
import { CONFIG_MAPS, NAMESPACES, type ResourceType, SECRETS, type Secret } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { ACCESS_POLICIES, type CustomResource, RATE_LIMIT_POLICIES, SIGNING_KEY_SETS } from '../resources.ts';
import { conditionOf, makePolicyWorld, outputsSecret, type PolicyWorld } from './testing/policy-world.ts';
import { OPERATOR_NAMESPACE, testSigningKey } from './testing/signing-key.ts';

const ORDERS = { namespace: 'trading', name: 'orders' };
const ISSUER = { namespace: 'trading', name: 'portcullis-issuer-orders' };
const ACCESS = { namespace: 'trading', name: 'portcullis-access-orders' };
const HASH = '$2b$12$kOAPLOTahnfkT/2NMCti6OaZHNbH3ITQrdcmzV33DbDYPZNpzjyWy';
const SPEC = {
  rules: [{ name: 'auth', match: { paths: ['/auth/**'] }, allow: [{ anonymous: true }] }],
  tokens: {
    keySetRef: { name: 'keys' },
    login: { path: '/auth/login', credentials: { htpasswdSecretRef: { name: 'users' } } },
  },
};
const KEY_SET = { algorithm: 'ES256', issuer: 'https://auth.example', audiences: ['api'], maxTokenLifetime: '1h' };

function usersSecret(htpasswd: string): Secret {
  return {
    metadata: { namespace: 'trading', name: 'users', labels: { [LABELS.allowReference]: 'true' } },
    data: { 'users.htpasswd': Buffer.from(htpasswd).toString('base64') },
  };
}

describe('the issuer bundle of an access policy', () => {
  let client: MemoryKubeClient;
  let world: PolicyWorld;
  let waiting: Set<string>;

  beforeEach(async () => {
    client = new MemoryKubeClient();
    await client.create(NAMESPACES, { metadata: { name: 'trading' } });
    const labelled = (name: string, value: string) => (secret: Secret) => secret.metadata.labels?.[name] === value;
    world = await makePolicyWorld(client, {
      accessPolicies: client.cache(ACCESS_POLICIES),
      rateLimitPolicies: client.cache(RATE_LIMIT_POLICIES),
      keySets: client.cache(SIGNING_KEY_SETS),
      ownSecrets: client.cache(SECRETS, ({ metadata }) => metadata.namespace === OPERATOR_NAMESPACE),
      referableSecrets: client.cache(SECRETS, labelled(LABELS.allowReference, 'true')),
      referableConfigMaps: client.cache(CONFIG_MAPS),
      bundles: client.cache(SECRETS, labelled(LABELS.holds, 'bundle')),
      namespaces: client.cache(NAMESPACES),
    });
    waiting = new Set();
    world.watch((kind, key) => waiting.add(`${kind} ${key}`));
    await create(SIGNING_KEY_SETS, KEY_SET, { namespace: 'trading', name: 'keys' });
    await client.create(SECRETS, outputsSecret('trading', 'keys', 1));
    await client.create(SECRETS, usersSecret(`ann:${HASH}\n`));
  });

  function create(type: ResourceType<CustomResource>, spec: object, at = ORDERS): Promise<CustomResource> {
    return client.create(type, { apiVersion: API_VERSION, kind: type.kind, metadata: at, spec });
  }
  async function settle(): Promise<void> {
    for (const key of waiting) {
      waiting.delete(key);
      await world.reconcilers.Access(key.split(' ')[1] ?? '');
    }
  }
  async function condition(type: string): Promise<string> {
    await settle();
    return (conditionOf(await client.get(ACCESS_POLICIES, ORDERS), type) ?? []).join(' ');
  }
  async function bundle(): Promise<IssuerBundle> {
    await settle();
    const secret = await client.get(SECRETS, ISSUER);
    const { publicKey } = await testSigningKey(client);
    const file = Buffer.from(secret?.data?.[BUNDLE_FILE] ?? '', 'base64');
    return decodeBundle(file, { kind: 'Issuer', ...ORDERS, publicKey, afterSerial: 0 });
  }
  const reasons = () => world.events.map(({ reason }) => reason);

  it('is written first, signed, labelled and owned as the other, and holds what stands nowhere else', async () => {
    client.requests.length = 0;
    await create(ACCESS_POLICIES, SPEC);
    const { serial, ...content } = await bundle();
    assert.deepEqual(content, {
      kind: 'Issuer',
      ...ORDERS,
      keySet: 'trading/keys',
      keySetSerial: 1,
      signingKey: { kid: 'kid-1', algorithm: 'ES256', privateJwk: { d: 'private' }, maxTokenLifetimeMs: 3_600_000 },
      users: { hashes: { ann: HASH }, claims: {} },
    });
    assert.ok(serial > 0);
    const written = client.requests.filter(({ verb }) => verb === 'replace').map(({ name }) => name);
    assert.deepEqual(written, [ISSUER.name, ACCESS.name]);
    const [issuer, access] = await Promise.all([client.get(SECRETS, ISSUER), client.get(SECRETS, ACCESS)]);
    assert.deepEqual(issuer?.metadata.ownerReferences, access?.metadata.ownerReferences);
    assert.deepEqual(issuer?.metadata.labels, access?.metadata.labels);
    assert.match(await condition('Ready'), /^True Written/);
    const { status } = (await client.get(ACCESS_POLICIES, ORDERS)) ?? {};
    const told = JSON.stringify([
      status,
      world.events,
      Buffer.from(access?.data?.[BUNDLE_FILE] ?? '', 'base64').toString('latin1'),
    ]);
    assert.doesNotMatch(told, /kOAPLOT|"d":/);
    client.requests.length = 0;
    waiting.add('Access trading/orders');
    await settle();
    assert.deepEqual(client.requests, [], 'at rest no request');
  });

  it('follows the key that signs, the users, and revocation', async () => {
    await create(ACCESS_POLICIES, SPEC);
    const first = await bundle();
    const at = outputsSecret('trading', 'keys', 2);
    await client.patch(SECRETS, { namespace: OPERATOR_NAMESPACE, name: at.metadata.name }, { data: at.data ?? {} });
    const second = await bundle();
    assert.equal(second.signingKey?.kid, 'kid-2');
    assert.ok(second.serial > first.serial);
    await client.patch(SECRETS, { namespace: 'trading', name: 'users' }, usersSecret(`bob:${HASH}\n`));
    assert.deepEqual(Object.keys((await bundle()).users?.hashes ?? {}), ['bob']);
    const revocations = [{ kid: 'kid-2', reason: 'laptop stolen' }];
    await client.patch(SIGNING_KEY_SETS, { namespace: 'trading', name: 'keys' }, { spec: { revocations } });
    assert.equal((await bundle()).signingKey, null);
  });

  it('is restored when somebody tampers with it', async () => {
    await create(ACCESS_POLICIES, SPEC);
    const { serial, ...before } = await bundle();
    for (const data of [{ [BUNDLE_FILE]: 'e30=' }, (await client.get(SECRETS, ACCESS))?.data ?? {}]) {
      await client.patch(SECRETS, ISSUER, { data });
      const { serial: after, ...content } = await bundle();
      assert.deepEqual(content, before);
      assert.ok(after > serial);
    }
    assert.deepEqual(reasons().filter((reason) => reason === 'BundleTampered').length, 2);
    await client.delete(SECRETS, ISSUER);
    assert.deepEqual((await bundle()).users, before.users);
  });

  it('goes when nobody logs in by the policy any more', async () => {
    await create(ACCESS_POLICIES, SPEC);
    await bundle();
    await client.patch(ACCESS_POLICIES, ORDERS, { spec: { tokens: { keySetRef: { name: 'keys' }, login: null } } });
    await settle();
    assert.equal(await client.get(SECRETS, ISSUER), null);
    assert.match(await condition('Ready'), /^True Written/);
    assert.equal(world.pods.expected.has('Issuer:trading/orders'), false);
  });

  it('stays while the users cannot be read, and the policy says why', async () => {
    await create(ACCESS_POLICIES, SPEC);
    const good = await bundle();
    await client.patch(SECRETS, { namespace: 'trading', name: 'users' }, usersSecret('ann:in-clear\n'));
    assert.match(await condition('Accepted'), /^False RefNotFound .*users.htpasswd, line 1: no bcrypt hash/);
    assert.match(await condition('Degraded'), /^True SecretMissing/);
    assert.doesNotMatch(JSON.stringify([await client.get(ACCESS_POLICIES, ORDERS), world.events]), /in-clear/);
    assert.deepEqual(await bundle(), good);
    await client.delete(SECRETS, { namespace: 'trading', name: 'users' });
    assert.match(await condition('Accepted'), /Secret trading\/users does not exist/);
    await client.create(SECRETS, usersSecret(`eve:${HASH}\n`));
    assert.match(await condition('Accepted'), /^True/);
    assert.deepEqual(Object.keys((await bundle()).users?.hashes ?? {}), ['eve']);
  });

  it('is not written over a Secret of somebody else; the policy itself is in force', async () => {
    await client.create(SECRETS, { metadata: ISSUER, data: { mine: 'AAAA' } });
    await create(ACCESS_POLICIES, SPEC);
    assert.match(
      await condition('Ready'),
      /^False Conflicted Secret trading\/portcullis-issuer-orders was not written by/,
    );
    assert.deepEqual((await client.get(SECRETS, ISSUER))?.data, { mine: 'AAAA' });
    assert.ok(await client.get(SECRETS, ACCESS));
    await client.patch(ACCESS_POLICIES, ORDERS, { spec: { tokens: null } });
    await settle();
    assert.deepEqual((await client.get(SECRETS, ISSUER))?.data, { mine: 'AAAA' }, 'nor removed');
  });
});

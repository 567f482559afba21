import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { beforeEach, describe, it } from 'node:test';
import { LABELS } from '../../policy/api/names.ts';
import { API_VERSION } from '../../policy/api/resource.ts';
import { decodeBundle } from '../../policy/bundle/decode.ts';
import { BUNDLE_FILE } from '../../policy/bundle/format.ts';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import { CONFIG_MAPS, type KubeObject, NAMESPACES, type ResourceType, SECRETS, type Secret } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { ACCESS_POLICIES, type CustomResource, RATE_LIMIT_POLICIES, SIGNING_KEY_SETS } from '../resources.ts';
import { conditionOf, makePolicyWorld, outputsSecret, type PolicyWorld } from './testing/policy-world.ts';
import { OPERATOR_NAMESPACE, testSigningKey } from './testing/signing-key.ts';

const ORDERS = { namespace: 'trading', name: 'orders' };
const POLICY = { kind: 'Access', ...ORDERS } as const;
const BUNDLE = { namespace: 'trading', name: 'portcullis-access-orders' };
const rule = { name: 'all', match: { paths: ['/**'] }, allow: [{ anonymous: true }] };
const jwtOf = (namespace?: string) => ({
  jwt: [{ name: 'trading', keySetRef: { name: 'keys', ...(namespace && { namespace }) } }],
});
const keySet = { algorithm: 'ES256', issuer: 'https://auth.example', audiences: ['api'], maxTokenLifetime: '1h' };
const redis = { store: { redis: { secretRef: { name: 'redis' } } } };
const redisSecret = (labels: Record<string, string>): Secret => ({
  metadata: { namespace: 'trading', name: 'redis', labels },
  data: { url: Buffer.from('redis://redis:6379\n').toString('base64') },
});

describe('policy controllers', () => {
  let client: MemoryKubeClient;
  let world: PolicyWorld;
  let now: number;
  /** Kind and key of what is to be reconciled, and when that asked to come again. */
  let waiting: Set<string>;
  let requeued: Map<string, number>;

  async function start(storeSecret?: string): Promise<void> {
    const labelled = (name: string, value: string) => (object: KubeObject) => object.metadata.labels?.[name] === value;
    const caches = {
      accessPolicies: client.cache(ACCESS_POLICIES),
      rateLimitPolicies: client.cache(RATE_LIMIT_POLICIES),
      keySets: client.cache(SIGNING_KEY_SETS),
      ownSecrets: client.cache(SECRETS, ({ metadata }) => metadata.namespace === OPERATOR_NAMESPACE),
      referableSecrets: client.cache(SECRETS, labelled(LABELS.allowReference, 'true')),
      referableConfigMaps: client.cache(CONFIG_MAPS, labelled(LABELS.allowReference, 'true')),
      bundles: client.cache(SECRETS, labelled(LABELS.holds, 'bundle')),
      namespaces: client.cache(NAMESPACES),
    };
    world = await makePolicyWorld(client, caches, { now: () => now, ...(storeSecret && { storeSecret }) });
    waiting = new Set();
    requeued = new Map();
    world.watch((kind, key) => waiting.add(`${kind} ${key}`));
  }

  async function settle(): Promise<void> {
    for (const key of waiting) {
      waiting.delete(key);
      const [kind, name = ''] = key.split(' ');
      const { afterMs } = await world.reconcilers[kind === 'Access' ? 'Access' : 'Limits'](name);
      if (afterMs === null) requeued.delete(key);
      else requeued.set(key, afterMs);
    }
  }

  beforeEach(async () => {
    client = new MemoryKubeClient();
    now = 1_700_000_000_000;
    await client.create(NAMESPACES, { metadata: { name: 'trading', labels: { team: 'trading' } } });
    await start();
  });

  function create(type: ResourceType<CustomResource>, spec: object, at = ORDERS): Promise<CustomResource> {
    return client.create(type, { apiVersion: API_VERSION, kind: type.kind, metadata: at, spec });
  }
  const edit = (spec: object) => client.patch(ACCESS_POLICIES, ORDERS, { spec });
  async function condition(type: string): Promise<string[] | undefined> {
    await settle();
    return conditionOf(await client.get(ACCESS_POLICIES, ORDERS), type);
  }
  async function bundle(): Promise<AccessBundle> {
    const secret = await client.get(SECRETS, BUNDLE);
    const { publicKey } = await testSigningKey(client);
    const file = Buffer.from(secret?.data?.[BUNDLE_FILE] ?? '', 'base64');
    return decodeBundle(file, { ...POLICY, publicKey, afterSerial: 0 });
  }
  const reasons = () => world.events.map(({ reason }) => reason);

  it('write a bundle and say so, and are at rest then', async () => {
    await create(ACCESS_POLICIES, { rules: [rule] });
    await create(RATE_LIMIT_POLICIES, {}, { namespace: 'trading', name: 'standard' });
    assert.deepEqual(await condition('Accepted'), ['True', 'Accepted', '']);
    const ready = `Secret portcullis-access-orders holds serial ${now}`;
    assert.deepEqual(await condition('Ready'), ['True', 'Written', ready]);
    assert.equal((await condition('Enforced'))?.[1], 'NoMatchingPods');
    assert.deepEqual(await condition('Degraded'), ['False', 'AsExpected', '']);
    assert.equal((await bundle()).rules[0]?.name, 'all');
    assert.deepEqual(reasons(), ['BundleWritten', 'BundleWritten']);
    assert.deepEqual(world.events[0]?.about.kind, 'AccessPolicy');
    const limits = await client.get(RATE_LIMIT_POLICIES, { namespace: 'trading', name: 'standard' });
    assert.equal(conditionOf(limits, 'Ready')?.[0], 'True');

    client.requests.length = 0;
    now += 60_000;
    await start();
    await settle();
    assert.deepEqual(
      client.requests.filter(({ name }) => name !== 'portcullis-bundle-signing-key'),
      [],
    );
  });

  it('say Enforced only when every pod runs the bundle of this generation', async () => {
    world.pods.run(POLICY, 'a', 'b');
    await create(ACCESS_POLICIES, { rules: [rule] });
    assert.equal((await condition('Enforced'))?.[1], 'Progressing');
    const acknowledge = async (...names: string[]): Promise<string[] | undefined> => {
      for (const name of names) world.pods.load(POLICY, name);
      waiting.add('Access trading/orders');
      return condition('Enforced');
    };
    const serial = now;
    const half = `1 of 2 pods run serial ${serial}; waiting for b: has another`;
    assert.deepEqual(await acknowledge('a'), ['False', 'Progressing', half]);
    assert.deepEqual(await acknowledge('b'), ['True', 'Acknowledged', `all pods run serial ${serial}`]);
    assert.deepEqual((await client.get(ACCESS_POLICIES, ORDERS))?.status?.pods, { matched: 2, current: 2, stale: 0 });
    assert.deepEqual(reasons(), ['BundleWritten', 'EnforcedByAll']);

    const before = world.pods.expected.get('Access:trading/orders');
    const statuses: string[] = [];
    client.before = ({ verb }) => {
      if (verb === 'apply') statuses.push(String(world.pods.expected.get('Access:trading/orders') === before));
    };
    await edit({ mode: 'Shadow' });
    assert.equal((await condition('Enforced'))?.[1], 'Progressing');
    assert.deepEqual(statuses, ['true'], 'one status, before anybody is asked to load the bundle');
    assert.equal((await acknowledge('a', 'b'))?.[1], 'Shadow');
  });

  it('keep the last good bundle while the policy does not compile, and list everything wrong', async () => {
    await create(ACCESS_POLICIES, { rules: [rule] });
    await settle();
    const good = await bundle();
    const allow = [{ roles: ['nobody'] }, { when: 'claims.sub ==' }];
    await edit({
      rules: [
        { ...rule, allow },
        { ...rule, name: 'odd', match: { paths: ['no'] } },
      ],
    });
    const [status, reason, message = ''] = (await condition('Accepted')) ?? [];
    assert.deepEqual([status, reason], ['False', 'Invalid']);
    assert.deepEqual(
      message.split('\n').map((line) => line.split(': ')[0]),
      ['spec.rules[1].match.paths[0]', 'spec.rules[0].allow[0].roles[0]', 'spec.rules[0].allow[1].when'],
    );
    const ready = `not compiled: see Accepted; pods keep the last good one, serial ${good.serial}`;
    assert.deepEqual(await condition('Ready'), ['False', 'NotAccepted', ready]);
    assert.equal((await condition('Enforced'))?.[1], 'NotReady');
    assert.deepEqual(await bundle(), good);
    assert.deepEqual(reasons(), ['BundleWritten', 'Invalid']);
  });

  it('wait for a key set and its first key, and follow its keys', async () => {
    await create(ACCESS_POLICIES, { authentication: jwtOf() });
    const [, reason, message] = (await condition('Accepted')) ?? [];
    assert.equal(reason, 'RefNotFound');
    assert.deepEqual(reasons(), ['RefNotFound']);
    assert.match(
      message ?? '',
      /^spec\.authentication\.jwt\[0\]\.keySetRef\.name: key set trading\/keys does not exist/,
    );
    await create(SIGNING_KEY_SETS, keySet, { namespace: 'trading', name: 'keys' });
    assert.match((await condition('Accepted'))?.[2] ?? '', /has no key yet/);
    const outputs = await client.create(SECRETS, outputsSecret('trading', 'keys', 1));
    assert.equal((await condition('Ready'))?.[0], 'True');
    assert.equal((await bundle()).jwt[0]?.keys[0]?.kid, 'kid-1');
    await client.replace(SECRETS, { ...outputs, data: outputsSecret('trading', 'keys', 2).data ?? {} });
    await settle();
    assert.equal((await bundle()).jwt[0]?.keySetSerial, 2);
  });

  it("follow the labels of their namespace where they use another namespace's key set", async () => {
    const usableFrom = { namespaceSelector: { matchLabels: { keys: 'shared' } } };
    await create(SIGNING_KEY_SETS, { ...keySet, usableFrom }, { namespace: 'auth', name: 'keys' });
    await client.create(SECRETS, outputsSecret('auth', 'keys', 1));
    await create(ACCESS_POLICIES, { authentication: jwtOf('auth') });
    assert.equal((await condition('Accepted'))?.[1], 'RefNotPermitted');
    await client.patch(NAMESPACES, { name: 'trading' }, { metadata: { labels: { keys: 'shared' } } });
    assert.equal((await condition('Accepted'))?.[1], 'Accepted');
  });

  it('read a Secret only with the label, and look again for one without', async () => {
    await create(ACCESS_POLICIES, redis);
    assert.match((await condition('Accepted'))?.join(' ') ?? '', /RefNotFound .*Secret trading\/redis does not exist/);
    assert.equal((await condition('Degraded'))?.[1], 'SecretMissing');
    assert.deepEqual([...requeued.keys()], ['Access trading/orders']);
    await client.create(SECRETS, redisSecret({}));
    waiting.add('Access trading/orders');
    const permitted = /RefNotPermitted .*give it the label portcullis\.dev\/allow-reference: "true"/;
    assert.match((await condition('Accepted'))?.join(' ') ?? '', permitted);
    await client.patch(
      SECRETS,
      { namespace: 'trading', name: 'redis' },
      redisSecret({ [LABELS.allowReference]: 'true' }),
    );
    assert.equal((await condition('Accepted'))?.[0], 'True');
    assert.equal((await bundle()).store?.redisUrl, 'redis://redis:6379');
    assert.equal(requeued.size, 0);
  });

  it('read a schema of a ConfigMap only with the label, and follow its changes', async () => {
    const body = { schemaRef: { configMap: { name: 'schemas', key: 'order.json' } } };
    await create(ACCESS_POLICIES, { rules: [{ ...rule, body }] });
    assert.equal((await condition('Accepted'))?.[1], 'RefNotFound');
    const key = { namespace: 'trading', name: 'schemas' };
    const data = { 'order.json': '{"type":"object"}' };
    await client.create(CONFIG_MAPS, { metadata: key, data });
    assert.equal((await condition('Accepted'))?.[1], 'RefNotFound');
    await client.patch(CONFIG_MAPS, key, { metadata: { labels: { 'portcullis.dev/allow-reference': 'true' } } });
    assert.equal((await condition('Accepted'))?.[1], 'Accepted');
    assert.deepEqual((await bundle()).rules[0]?.body?.schema, { type: 'object' });
    await client.patch(CONFIG_MAPS, key, { data: { 'order.json': '{"type":"array"}' } });
    await settle();
    assert.deepEqual((await bundle()).rules[0]?.body?.schema, { type: 'array' });
  });

  it('never read what the operator wrote, whatever its labels', async () => {
    await client.create(SECRETS, redisSecret({ [LABELS.allowReference]: 'true', [LABELS.holds]: 'bundle' }));
    await create(ACCESS_POLICIES, redis);
    assert.equal((await condition('Accepted'))?.[1], 'RefNotPermitted');
  });

  it("use the operator's store, and publish nothing without it", async () => {
    await start('store');
    await create(ACCESS_POLICIES, {});
    const [, reason, message] = (await condition('Ready')) ?? [];
    assert.equal(reason, 'SecretMissing');
    assert.match(
      message ?? '',
      /Secret portcullis\/store, the operator's own store, does not exist; write it, or name/,
    );
    assert.equal((await condition('Degraded'))?.[0], 'True');
    assert.equal(await client.get(SECRETS, BUNDLE), null);
    const secret = redisSecret({});
    await client.create(SECRETS, { ...secret, metadata: { namespace: OPERATOR_NAMESPACE, name: 'store' } });
    assert.equal((await condition('Ready'))?.[0], 'True');
    assert.equal((await bundle()).defaults.store?.redisUrl, 'redis://redis:6379');
  });

  it('restore a bundle that was tampered with at once, and report it', async () => {
    await create(ACCESS_POLICIES, { rules: [rule] });
    await settle();
    const before = await bundle();
    await client.patch(SECRETS, BUNDLE, { data: { [BUNDLE_FILE]: 'e30=' } });
    await settle();
    const { serial, ...content } = await bundle();
    assert.ok(serial > before.serial);
    assert.deepEqual({ ...content, serial: before.serial }, before);
    assert.deepEqual(reasons(), ['BundleWritten', 'BundleTampered', 'BundleWritten']);
    assert.match(world.events[1]?.message ?? '', /changed by another \(bundle_corrupt\) and was replaced/);

    await edit({ rules: [{ ...rule, allow: [{ roles: ['nobody'] }] }] });
    await settle();
    await client.patch(SECRETS, BUNDLE, { data: { [BUNDLE_FILE]: 'e30=' } });
    assert.match(
      (await condition('Ready'))?.[2] ?? '',
      /there is no bundle yet, and pods that wait for it stay unready/,
    );
    assert.match(world.events.at(-1)?.message ?? '', /cannot be replaced yet/);
  });

  it("leave a user's Secret of that name alone until it is gone", async () => {
    await client.create(SECRETS, { metadata: BUNDLE, data: { mine: 'AAAA' } });
    await create(ACCESS_POLICIES, {});
    const [, reason, message] = (await condition('Ready')) ?? [];
    assert.equal(reason, 'Conflicted');
    assert.match(message ?? '', /Secret trading\/portcullis-access-orders was not written by Portcullis .*; delete it/);
    assert.deepEqual((await client.get(SECRETS, BUNDLE))?.data, { mine: 'AAAA' });
    await client.delete(SECRETS, BUNDLE);
    for (const key of requeued.keys()) waiting.add(key);
    assert.equal((await condition('Ready'))?.[0], 'True');
  });

  it('say what to do about a policy that is too large', async () => {
    // Characters of many bits, as nothing else within the limits of the schema is too large once packed.
    const noise = (seed: string) => {
      const bytes = createHash('shake256', { outputLength: 1800 }).update(seed).digest();
      return Array.from({ length: 900 }, (_, at) =>
        String.fromCharCode(0x4e00 + (bytes.readUInt16LE(2 * at) % 0x5000)),
      ).join('');
    };
    const rules = Array.from({ length: 128 }, (_, index) => ({
      name: `rule-${index}`,
      match: { paths: [`/${index}`] },
      allow: [
        { anonymous: true },
        ...Array.from({ length: 7 }, (_, entry) => ({ when: `claims.sub == "${noise(`${index} ${entry}`)}"` })),
      ],
    }));
    await create(ACCESS_POLICIES, { rules });
    const [status, reason, message] = (await condition('Accepted')) ?? [];
    assert.deepEqual([status, reason], ['False', 'Invalid']);
    assert.match(
      message ?? '',
      /^spec: bundle Access trading\/orders is \d+ bytes, more than 921600; use fewer or shorter/,
    );
    assert.match((await condition('Ready'))?.[2] ?? '', /^too large: see Accepted; there is no bundle yet/);
  });

  it('forget a policy that is gone', async () => {
    await create(ACCESS_POLICIES, {});
    await settle();
    await client.delete(ACCESS_POLICIES, ORDERS);
    await settle();
    assert.equal(world.pods.expected.size, 0);
  });
});

import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Registry } from 'prom-client';
import { SIDECAR_CONTAINER } from '../../policy/api/names.ts';
import { type EventRecord, KubeError, type ObjectCache } from '../kube/kube-client.ts';
import { ObjectStore } from '../kube/object-store.ts';
import { NAMESPACES, type Pod, SECRETS, SERVICES, type Service } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { ACCESS_POLICIES, RATE_LIMIT_POLICIES } from '../resources.ts';
import { exampleNamespace, examplePod, exampleService } from '../workloads/testing/coverage-objects.ts';
import { podHandler } from './pod-handler.ts';
import type { AdmissionRequest } from './review.ts';
import { WEBHOOK_CONFIG } from './testing/webhook-config.ts';

const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'trading-7f', uid: 'rs-1', controller: true };

function reviewOf(pod: Pod, extra: Partial<AdmissionRequest> = {}): AdmissionRequest {
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  return {
    uid: 'u',
    kind,
    operation: 'CREATE',
    namespace: 'shop',
    dryRun: false,
    object: pod,
    oldObject: null,
    ...extra,
  };
}

function owned(pod: Pod): Pod {
  return { ...pod, metadata: { ...pod.metadata, ownerReferences: [OWNER] } };
}

describe('podHandler', () => {
  let client: MemoryKubeClient;
  let events: EventRecord[];
  let registry: Registry;
  /** Replaces the cache of Services. */
  let services: ObjectCache<Service> | null;

  const handle = async (request: AdmissionRequest) => {
    const handler = podHandler({
      client,
      namespaces: client.cache(NAMESPACES),
      services: services ?? client.cache(SERVICES),
      accessPolicies: client.cache(ACCESS_POLICIES),
      rateLimitPolicies: client.cache(RATE_LIMIT_POLICIES),
      config: WEBHOOK_CONFIG,
      bundleKey: 'MCowBQYDK2VwAyEAAAAA',
      serials: (namespace, access, limits) => ({
        access: namespace === 'shop' && access === 'orders' ? 41 : 0,
        limits: limits === null ? 0 : 7,
        issuer: 0,
      }),
      events: { record: (event) => events.push(event) },
      registry,
    });
    client.requests.length = 0;
    return handler(request);
  };
  const requests = () => client.requests.map(({ verb, kind }) => `${verb} ${kind}`);
  const outcomes = async () => {
    const text = await registry.metrics();
    return [...text.matchAll(/injections_total\{outcome="(\w+)"\} (\d+)/g)].map(
      ([, name, count]) => `${name} ${count}`,
    );
  };
  const sidecarIn = (patch: readonly object[] | undefined) =>
    JSON.stringify(patch ?? []).includes(`"name":"${SIDECAR_CONTAINER}"`);

  beforeEach(async () => {
    client = new MemoryKubeClient();
    events = [];
    registry = new Registry();
    services = null;
    await client.create(NAMESPACES, exampleNamespace());
    await client.create(ACCESS_POLICIES, { metadata: { namespace: 'shop', name: 'orders' } });
  });

  it('injects a pod of a Service that asks, with the serials of the bundles, and asks the API server nothing', async () => {
    await client.create(SERVICES, exampleService('trading', { 'access-policy': 'orders' }));
    const { allowed, warnings, patch } = await handle(reviewOf(examplePod()));
    assert.equal(allowed, true);
    assert.deepEqual(warnings, []);
    assert.ok(sidecarIn(patch));
    assert.match(JSON.stringify(patch), /41/);
    assert.deepEqual(requests(), []);
    assert.deepEqual(await outcomes(), ['Injected 1']);
    assert.deepEqual(events, []);
  });

  it('finds a Service that the cache does not show yet', async () => {
    services = client.cache(SERVICES, () => false);
    await client.create(SERVICES, exampleService('trading', { 'access-policy': 'orders' }));
    assert.ok(sidecarIn((await handle(reviewOf(examplePod()))).patch));
    assert.deepEqual(requests(), ['list Service']);
  });

  it('finds a Service that has begun to ask a moment ago', async () => {
    await client.create(SERVICES, exampleService('trading'));
    const stale = new ObjectStore<Service>(assert.ifError);
    stale.replaceAll([exampleService('trading')]);
    services = stale;
    await client.patch(
      SERVICES,
      { namespace: 'shop', name: 'trading' },
      { metadata: { annotations: { 'portcullis.dev/access-policy': 'orders' } } },
    );
    assert.ok(sidecarIn((await handle(reviewOf(examplePod()))).patch));
  });

  it('leaves a pod alone that nobody asks for, after having looked', async () => {
    const { allowed, patch } = await handle(reviewOf(examplePod()));
    assert.deepEqual([allowed, patch], [true, undefined]);
    assert.deepEqual(requests(), ['list Service']);
    assert.deepEqual(await outcomes(), ['NotAsked 1']);
  });

  it('finds a namespace that the cache does not show yet', async () => {
    await client.create(NAMESPACES, { metadata: { name: 'new', annotations: {} } });
    const { patch } = await handle(reviewOf(examplePod({ 'access-policy': 'orders' }), { namespace: 'new' }));
    assert.ok(sidecarIn(patch));
  });

  it('rejects when the Services cannot be read: better no pod than an open one', async () => {
    client.before = ({ verb }) => {
      if (verb === 'list') throw new KubeError(500, 'InternalError', 'etcd is away');
    };
    await assert.rejects(handle(reviewOf(examplePod())), KubeError);
  });

  it('rejects where there is no such namespace', async () => {
    await assert.rejects(handle(reviewOf(examplePod(), { namespace: 'gone' })), /there is no namespace gone/);
  });

  it('names the policies that exist when one does not', async () => {
    await client.create(ACCESS_POLICIES, { metadata: { namespace: 'other', name: 'ordered' } });
    const pod = examplePod({ 'access-policy': 'ordres', 'rate-limit-policy': 'standard' });
    const { allowed, warnings, patch } = await handle(reviewOf(pod));
    assert.deepEqual([allowed, sidecarIn(patch)], [true, true]);
    assert.deepEqual(warnings?.slice(0, 2), [
      'PolicyNotFound: pods stay unready until namespace shop has the AccessPolicy "ordres"; did you mean "orders"?',
      'PolicyNotFound: pods stay unready until namespace shop has the RateLimitPolicy "standard"; there are no ratelimitpolicies in it',
    ]);
  });

  it('warns of no policy that it cannot look up', async () => {
    client.before = ({ kind }) => {
      if (kind === 'AccessPolicy') throw new KubeError(0, 'TimedOut', 'no answer');
    };
    const { allowed, warnings } = await handle(reviewOf(examplePod({ 'access-policy': 'later' })));
    assert.equal(allowed, true);
    assert.ok(!JSON.stringify(warnings).includes('PolicyNotFound'));
  });

  const secretCases = [
    { name: 'is there', data: { jwt: 'eA==' }, reason: [] },
    { name: 'has no such key', data: { other: 'eA==' }, reason: ['RequiredSecretMissing'] },
    { name: 'does not exist', data: null, reason: ['RequiredSecretMissing'] },
  ];
  for (const { name, data, reason } of secretCases) {
    it(`looks for a required Secret that ${name}`, async () => {
      if (data !== null) await client.create(SECRETS, { metadata: { namespace: 'shop', name: 'bot' }, data });
      const pod = owned(examplePod({ 'access-policy': 'orders', 'required-secrets': 'bot/jwt' }));
      const { patch } = await handle(reviewOf(pod));
      assert.ok(sidecarIn(patch));
      assert.deepEqual(
        events.map((event) => event.reason),
        reason,
      );
      assert.deepEqual(requests(), ['list Service', 'get Secret']);
    });
  }

  it('denies what a Required namespace cannot have, with the reason first and an Event on the owner', async () => {
    await client.create(NAMESPACES, {
      metadata: { ...exampleNamespace({ 'access-policy': 'orders' }, 'Required').metadata, name: 'strict' },
    });
    const pod = owned(examplePod({}, { hostNetwork: true }));
    const { allowed, message, patch } = await handle(reviewOf(pod, { namespace: 'strict' }));
    assert.deepEqual([allowed, patch], [false, undefined]);
    assert.match(message ?? '', /^HostNetwork: .*remove hostNetwork/);
    assert.deepEqual(await outcomes(), ['Denied 1']);
    const [event] = events;
    assert.deepEqual(event?.about, {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { namespace: 'strict', name: 'trading-7f', uid: 'rs-1' },
    });
    assert.deepEqual([event?.type, event?.reason, event?.message], ['Warning', 'HostNetwork', message]);
  });

  it('reports what is asked for and not done', async () => {
    const pod = owned(examplePod({ 'access-policy': 'orders' }, { hostNetwork: true }));
    assert.equal((await handle(reviewOf(pod))).patch, undefined);
    assert.deepEqual(
      events.map(({ reason }) => reason),
      ['HostNetwork'],
    );
  });

  it('says nothing about what was not asked for', async () => {
    await handle(reviewOf(owned(examplePod())));
    registry = new Registry();
    await handle(reviewOf(owned(examplePod({ 'access-policy': 'orders', inject: 'false' }))));
    assert.deepEqual(events, []);
  });

  it('a dry run is answered alike and leaves no trace', async () => {
    const pod = owned(examplePod({ 'access-policy': 'orders', 'required-secrets': 'bot/jwt' }));
    const real = await handle(reviewOf(pod));
    assert.deepEqual([events.length, (await outcomes()).length], [1, 1]);
    registry = new Registry();
    events = [];
    assert.deepEqual(await handle(reviewOf(pod, { dryRun: true })), real);
    assert.deepEqual([events, await outcomes()], [[], []]);
  });

  const untouched: readonly (readonly [string, Partial<AdmissionRequest>])[] = [
    ['of our own namespace', { namespace: WEBHOOK_CONFIG.namespace }],
    ['of kube-system', { namespace: 'kube-system' }],
    ['that is updated', { operation: 'UPDATE' }],
    ['that is something else', { kind: { group: 'apps', version: 'v1', kind: 'Deployment' } }],
  ];
  for (const [name, extra] of untouched) {
    it(`leaves a pod alone ${name}`, async () => {
      assert.deepEqual(await handle(reviewOf(examplePod({ 'access-policy': 'orders' }), extra)), { allowed: true });
      assert.deepEqual(requests(), []);
    });
  }
});

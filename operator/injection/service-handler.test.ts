import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { pino } from 'pino';
import { KubeError } from '../kube/kube-client.ts';
import { NAMESPACES, type Service } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { ACCESS_POLICIES, RATE_LIMIT_POLICIES } from '../resources.ts';
import { exampleNamespace, exampleService } from '../workloads/testing/coverage-objects.ts';
import type { AdmissionRequest } from './review.ts';
import { serviceHandler } from './service-handler.ts';
import { WEBHOOK_CONFIG } from './testing/webhook-config.ts';

const ASKING = exampleService('trading', { 'access-policy': 'orders' });

function reviewOf(service: Service, extra: Partial<AdmissionRequest> = {}): AdmissionRequest {
  const kind = { group: '', version: 'v1', kind: 'Service' };
  return {
    uid: 'u',
    kind,
    operation: 'CREATE',
    namespace: 'shop',
    dryRun: false,
    object: service,
    oldObject: null,
    ...extra,
  };
}

describe('serviceHandler', () => {
  let client: MemoryKubeClient;
  const lines: string[] = [];
  const handle = async (request: AdmissionRequest) => {
    const handler = serviceHandler({
      client,
      namespaces: client.cache(NAMESPACES),
      accessPolicies: client.cache(ACCESS_POLICIES),
      rateLimitPolicies: client.cache(RATE_LIMIT_POLICIES),
      config: WEBHOOK_CONFIG,
      log: pino({}, { write: (line: string) => lines.push(line) }),
    });
    client.requests.length = 0;
    return handler(request);
  };
  const label = async (namespace = 'shop') =>
    (await client.get(NAMESPACES, { name: namespace }))?.metadata.labels?.['portcullis.dev/guarded'];

  beforeEach(async () => {
    client = new MemoryKubeClient();
    lines.length = 0;
    await client.create(NAMESPACES, exampleNamespace());
    await client.create(NAMESPACES, { metadata: { name: 'kube-system' } });
    await client.create(ACCESS_POLICIES, { metadata: { namespace: 'shop', name: 'orders' } });
  });

  it('labels the namespace of a Service that asks before it is admitted', async () => {
    assert.deepEqual(await handle(reviewOf(ASKING)), { allowed: true, warnings: [] });
    assert.equal(await label(), 'true');
  });

  it('labels it once', async () => {
    await handle(reviewOf(ASKING));
    await handle(reviewOf(ASKING, { operation: 'UPDATE' }));
    assert.deepEqual(client.requests, []);
  });

  const unlabelled: readonly (readonly [string, Service, Partial<AdmissionRequest>])[] = [
    ['that asks for nothing', exampleService('plain'), {}],
    ['in a dry run', ASKING, { dryRun: true }],
    [
      'that is being deleted',
      { ...ASKING, metadata: { ...ASKING.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } },
      {},
    ],
    ['of kube-system', ASKING, { namespace: 'kube-system' }],
  ];
  for (const [name, service, extra] of unlabelled) {
    it(`labels nothing for a Service ${name}`, async () => {
      assert.equal((await handle(reviewOf(service, extra))).allowed, true);
      assert.equal(await label(extra.namespace), undefined);
    });
  }

  it('lets a Service through that is deleted, or whose namespace is gone', async () => {
    assert.deepEqual(await handle(reviewOf(ASKING, { operation: 'DELETE', object: null })), { allowed: true });
    assert.deepEqual(await handle(reviewOf(ASKING, { namespace: 'gone' })), { allowed: true });
  });

  it('says which policies do not exist, and what is wrong with the ports', async () => {
    const notes = { 'access-policy': 'ordres', 'rate-limit-policy': 'standard' };
    const service = exampleService('trading', notes, [{ port: 80, targetPort: 8000 }]);
    const { allowed, warnings = [] } = await handle(reviewOf(service));
    assert.equal(allowed, true);
    assert.equal(warnings.filter((warning) => warning.startsWith('PolicyNotFound:')).length, 2);
    assert.ok(warnings.some((warning) => warning.startsWith('NumericTargetPort:')));
  });

  it('says that cert-manager is missing where it is asked for certificates, and only then', async () => {
    client.before = ({ kind }) => {
      if (kind === 'Certificate') throw new KubeError(404, 'NotFound', 'no such kind');
    };
    const asking = exampleService('trading', { 'access-policy': 'orders', 'tls-issuer': 'internal-ca' });
    const { allowed, warnings = [] } = await handle(reviewOf(asking));
    assert.equal(allowed, true);
    assert.match(warnings.join(), /^portcullis.dev\/tls-issuer: this cluster has no cert-manager/);
    assert.deepEqual(await handle(reviewOf(ASKING)), { allowed: true, warnings: [] });
    client.before = () => undefined;
    assert.deepEqual((await handle(reviewOf(asking))).warnings, []);
  });

  it('lets the Service through when the namespace cannot be labelled, and says so', async () => {
    client.before = ({ verb }) => {
      if (verb === 'patch') throw new KubeError(403, 'Forbidden', 'may not');
    };
    const { allowed, warnings = [] } = await handle(reviewOf(ASKING));
    assert.equal(allowed, true);
    assert.match(warnings.join(), /shop could not be labelled portcullis.dev\/guarded=true in time/);
    assert.ok(lines.some((line) => line.includes('namespace not labelled')));
  });
});

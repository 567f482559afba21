import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { KubeError, type Reconcile } from '../kube/kube-client.ts';
import { NAMESPACES, SERVICES, type Service } from '../kube/objects.ts';
import { MemoryKubeClient } from '../kube/testing/memory-kube-client.ts';
import { createCertificateKeeper } from './certificate-keeper.ts';
import { CERTIFICATES, type Certificate, planCertificates } from './certificates.ts';
import { annotated, exampleService, exampleNamespace as namespace } from './testing/coverage-objects.ts';

const ASK = { 'access-policy': 'orders' };
const ISSUER = { ...ASK, 'tls-issuer': 'internal-ca' };

function service(name: string, notes: Readonly<Record<string, string>>, spec: object = {}): Service {
  const made = exampleService(name, notes, undefined, spec);
  return { ...made, metadata: { ...made.metadata, uid: `uid-of-${name}` } };
}

function planned(services: readonly Service[], space = namespace()): unknown[] {
  return planCertificates(space, services).map((plan) => {
    if ('refused' in plan) return plan.refused;
    const { metadata, spec } = plan.certificate;
    const owners = metadata.ownerReferences?.map(({ name }) => name);
    return [metadata.name, `${spec?.issuerRef.kind}/${spec?.issuerRef.name}`, spec?.dnsNames, owners];
  });
}

describe('planCertificates', () => {
  const web = ['web.shop.svc', 'web.shop.svc.cluster.local'];
  const table: readonly [string, unknown[], unknown[]][] = [
    ['a Service', planned([service('web', ISSUER)]), [['portcullis-tls-web', 'Issuer/internal-ca', web, ['web']]]],
    [
      'an issuer of the cluster, a Secret by name',
      planned([service('web', { ...ISSUER, 'tls-issuer': 'ClusterIssuer/ca', 'tls-secret': 'mine' })]),
      [['mine', 'ClusterIssuer/ca', web, ['web']]],
    ],
    [
      'a headless Service: its pods have names too',
      planned([service('web', ISSUER, { clusterIP: 'None' })]),
      [['portcullis-tls-web', 'Issuer/internal-ca', [...web, ...web.map((name) => `*.${name}`)], ['web']]],
    ],
    [
      'two Services of one Secret have one certificate',
      planned([service('web', { ...ISSUER, 'tls-secret': 'x' }), service('api', { ...ISSUER, 'tls-secret': 'x' })]),
      [['x', 'Issuer/internal-ca', ['api.shop.svc', 'api.shop.svc.cluster.local', ...web], ['api', 'web']]],
    ],
    [
      'two issuers of one Secret',
      planned([
        service('web', { ...ISSUER, 'tls-secret': 'x' }),
        service('b', { ...ASK, 'tls-issuer': 'other', 'tls-secret': 'x' }),
      ]),
      [
        'Services b, web name the issuers internal-ca, other for one Secret, x: write the same issuer on all, or another Secret',
      ],
    ],
    [
      'asked by the namespace',
      planned([service('web', ASK)], namespace({ 'tls-issuer': 'internal-ca' })),
      [['portcullis-tls-web', 'Issuer/internal-ca', web, ['web']]],
    ],
    [
      'the Service says which Secret, so nobody issues it',
      planned([service('web', { ...ASK, 'tls-secret': 'x' })], namespace({ 'tls-issuer': 'internal-ca' })),
      [],
    ],
    [
      'but in a Required namespace',
      planned([service('web', { ...ASK, 'tls-secret': 'x' })], namespace({ 'tls-issuer': 'internal-ca' }, 'Required')),
      [['portcullis-tls-web', 'Issuer/internal-ca', web, ['web']]],
    ],
    ['nobody is guarded', planned([service('web', { 'tls-issuer': 'internal-ca' })]), []],
    ['opted out', planned([service('web', { ...ISSUER, inject: 'false' })]), []],
    ['Disabled', planned([service('web', ISSUER)], namespace({}, 'Disabled')), []],
    ['selects nothing', planned([service('web', ISSUER, { selector: {} })]), []],
    ['no issuer can be named so', planned([service('web', { ...ISSUER, 'tls-issuer': 'A B' })]), []],
  ];
  for (const [name, found, expected] of table) test(name, () => assert.deepEqual(found, expected));

  test('more Services than a certificate has room for', () => {
    const many = Array.from({ length: 33 }, (_, i) => service(`s${i}`, { ...ISSUER, 'tls-secret': 'x' }));
    assert.match(String(planned(many)[0]), /^33 Services name one Secret, x/);
  });
});

describe('the keeper of Certificates', () => {
  let client: MemoryKubeClient;
  let events: string[];
  let keeper: Reconcile;
  const recorder = {
    record: ({ reason, message }: { reason: string; message: string }) => void events.push(`${reason}: ${message}`),
  };
  const start = (excluded: readonly string[] = []): Reconcile =>
    createCertificateKeeper({
      client,
      namespaces: client.cache(NAMESPACES),
      services: client.cache(SERVICES),
      events: recorder,
      excluded: new Set(excluded),
    });
  const certificate = () => client.get(CERTIFICATES, { namespace: 'shop', name: 'portcullis-tls-web' });
  const writes = () => client.requests.filter(({ verb }) => verb !== 'list' && verb !== 'get').map(({ verb }) => verb);

  beforeEach(async () => {
    client = new MemoryKubeClient();
    events = [];
    await client.create(NAMESPACES, namespace());
    await client.create(SERVICES, service('web', ISSUER));
    keeper = start();
    client.requests.length = 0;
  });

  test('writes one, once, and corrects what somebody changed', async () => {
    assert.deepEqual(await keeper('shop'), { afterMs: 600_000 });
    const written = await certificate();
    assert.equal(written?.spec?.secretName, 'portcullis-tls-web');
    await client.patch(
      CERTIFICATES,
      { namespace: 'shop', name: 'portcullis-tls-web' },
      { spec: { revisionHistoryLimit: 1 } },
    );
    await keeper('shop');
    await client.patch(
      CERTIFICATES,
      { namespace: 'shop', name: 'portcullis-tls-web' },
      { spec: { dnsNames: ['evil'] } },
    );
    await keeper('shop');
    assert.deepEqual(writes(), ['apply', 'patch', 'patch', 'apply']);
    assert.deepEqual((await certificate())?.spec?.dnsNames, ['web.shop.svc', 'web.shop.svc.cluster.local']);
  });

  test('removes it when nobody asks any more, also after a restart', async () => {
    await keeper('shop');
    await client.patch(
      SERVICES,
      { namespace: 'shop', name: 'web' },
      { metadata: { annotations: annotated({ 'tls-issuer': null! }) } },
    );
    assert.deepEqual(await start()('shop'), { afterMs: null });
    assert.equal(await certificate(), null);
  });

  test('asks the API server once where nobody asks for certificates', async () => {
    await client.delete(SERVICES, { namespace: 'shop', name: 'web' });
    client.requests.length = 0;
    await keeper('shop');
    await keeper('shop');
    assert.deepEqual(
      client.requests.map(({ verb }) => verb),
      ['list'],
    );
  });

  test('leaves alone what is not ours, and namespaces that are excluded', async () => {
    await client.create(CERTIFICATES, { metadata: { namespace: 'shop', name: 'portcullis-tls-web' } } as Certificate);
    client.requests.length = 0;
    await keeper('shop');
    await start(['shop'])('shop');
    assert.deepEqual(writes(), []);
    assert.match(events.join(), /^CertificateNotIssued: there is a Certificate portcullis-tls-web that is not ours/);
  });

  test('says that cert-manager is missing, and comes again', async () => {
    client.before = ({ kind }) => {
      if (kind === 'Certificate') throw new KubeError(404, 'NotFound', 'no such kind');
    };
    assert.deepEqual(await keeper('shop'), { afterMs: 60_000 });
    assert.match(events.join(), /^CertManagerMissing: portcullis\.dev\/tls-issuer: this cluster has no cert-manager/);
    client.before = () => undefined;
    await keeper('shop');
    assert.notEqual(await certificate(), null);
  });

  test('a failure that is none of these is tried again, and nothing is taken for gone', async () => {
    await keeper('shop');
    client.before = ({ kind, verb }) => {
      if (kind === 'Certificate' && verb === 'list') throw new KubeError(503, 'ServiceUnavailable', 'later');
    };
    await assert.rejects(async () => keeper('shop'), KubeError);
    await assert.rejects(async () => start()('shop'), KubeError);
    client.before = () => undefined;
    assert.notEqual(await certificate(), null);
  });
});

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { kinds } from '../../policy/api/kinds.ts';
import type { ApiServer } from '../cluster/api-server.ts';
import { apiServerFor, kubectlFor } from '../cluster/require-api-server.ts';
import { brokenResources } from '../fixtures/resources/broken.ts';
import { brokenDocument } from '../fixtures/resources/broken-document.ts';
import {
  documentsIn,
  goodResource,
  goodResources,
  type KubernetesDocument,
  withMember,
} from '../fixtures/resources/documents.ts';
import { fullSizeResources } from '../fixtures/resources/full-size.ts';
import { installCrds } from './install-crds.ts';

const ROOT = join(import.meta.dirname, '../..');

/** The path of a resource's collection; strict, so that an unknown field is refused. */
function collection(document: KubernetesDocument, options = ''): string {
  const plural = kinds.find((kind) => kind.kind === document.kind)?.plural;
  const namespace = document.metadata.namespace ?? 'default';
  return `/apis/portcullis.dev/v1alpha1/namespaces/${namespace}/${plural}?fieldValidation=Strict${options}`;
}

const messageOf = (body: unknown): string => String((body as { message?: unknown }).message ?? body).slice(0, 2000);

test('kube-apiserver and the three CRDs', async (t) => {
  const server = await apiServerFor(t);
  if (!server) return;
  await t.test('accepts the CRDs, which become Established', () => installCrds(server));
  await t.test('accepts good resources by POST', (t) => acceptsByPost(t, server));
  await t.test('accepts good resources and the examples by kubectl', (t) => acceptsByKubectl(t, server));
  await t.test('fills in defaults and takes null as left out', () => fillsInDefaults(server));
  await t.test('refuses broken resources by POST', (t) => refusesByPost(t, server));
  await t.test('refuses broken resources by kubectl', (t) => refusesByKubectl(t, server));
  await t.test('refuses an unknown field by server-side apply', (t) => refusesUnknownFieldByApply(t, server));
  await t.test('keeps revocations append only', () => keepsRevocations(server));
  await t.test('shows the columns, short names and the category', (t) => showsColumns(t, server));
  await t.test('has a description, with the default, on every field', (t) => explainsFields(t, server));
});

async function acceptsByPost(t: TestContext, server: ApiServer): Promise<void> {
  for (const document of [...goodResources(), ...fullSizeResources]) {
    await t.test(`${document.kind} ${document.metadata.name}`, async () => {
      const { status, body } = await server.request('POST', collection(document, '&dryRun=All'), document);
      assert.equal(status, 201, messageOf(body));
    });
  }
}

async function acceptsByKubectl(t: TestContext, server: ApiServer): Promise<void> {
  const kubectl = kubectlFor(t, server);
  if (!kubectl) return;
  const documents = [...goodResources(), ...documentsIn(join(ROOT, 'examples/policies'))];
  for (const namespace of new Set(documents.map((document) => document.metadata.namespace))) {
    if (namespace) await kubectl(['create', 'namespace', namespace]);
  }
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: documents });
  const { code, stderr } = await kubectl(['apply', '--server-side', '--validate=strict', '-f', '-'], list);
  assert.equal(code, 0, stderr);
}

async function fillsInDefaults(server: ApiServer): Promise<void> {
  const nulls = withMember(goodResource('SigningKeySet', 'nulls'), ['metadata', 'name'], 'nulls-again');
  const { body } = await server.request('POST', collection(nulls, '&dryRun=All'), nulls);
  const { spec } = body as { spec: { rotation: object; revocations: unknown; propagation: string } };
  assert.deepEqual(spec.rotation, { period: '720h', maxKeys: 8, ackTimeout: '24h', notBefore: null, suspend: false });
  assert.deepEqual(spec.revocations, []);
  assert.equal(spec.propagation, '120s');
}

async function refusesByPost(t: TestContext, server: ApiServer): Promise<void> {
  for (const row of brokenResources) {
    await t.test(`${row.kind}: ${row.name}`, async () => {
      const document = brokenDocument(row);
      const { status, body } = await server.request('POST', collection(document, '&dryRun=All'), document);
      assert.ok(status === 422 || status === 400, `${status} ${messageOf(body)}`);
      assert.ok(messageOf(body).includes(row.message), messageOf(body));
    });
  }
}

async function refusesByKubectl(t: TestContext, server: ApiServer): Promise<void> {
  const kubectl = kubectlFor(t, server);
  if (!kubectl) return;
  for (const row of brokenResources) {
    await t.test(`${row.kind}: ${row.name}`, async () => {
      const { code, stderr } = await kubectl(['create', '-f', '-'], JSON.stringify(brokenDocument(row)));
      assert.notEqual(code, 0);
      assert.ok(stderr.replaceAll('\\"', '"').includes(row.message), stderr);
    });
  }
}

async function refusesUnknownFieldByApply(t: TestContext, server: ApiServer): Promise<void> {
  const kubectl = kubectlFor(t, server);
  if (!kubectl) return;
  const document = withMember(goodResource('SigningKeySet', 'small'), ['spec', 'algoritm'], 'ES256');
  const { code, stderr } = await kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(document));
  assert.notEqual(code, 0);
  assert.match(stderr, /\.spec\.algoritm: field not declared in schema/);
}

async function keepsRevocations(server: ApiServer): Promise<void> {
  const document = withMember(goodResource('SigningKeySet', 'small'), ['metadata', 'name'], 'append-only');
  const revoked = withMember(document, ['spec', 'revocations'], [{ kid: 'a' }, { kid: 'b', reason: 'stolen' }]);
  const created = await server.request('POST', collection(revoked), revoked);
  assert.equal(created.status, 201, messageOf(created.body));
  const path = collection(revoked).replace('?', '/append-only?');
  const patch = (revocations: object[]) => server.request('PATCH', path, { spec: { revocations } });

  const fewer = await patch([{ kid: 'b' }]);
  assert.equal(fewer.status, 422);
  assert.match(messageOf(fewer.body), /spec\.revocations is append only/);
  assert.equal((await patch([{ kid: 'c' }, { kid: 'b' }, { kid: 'a' }])).status, 200);

  const fernet = await server.request('PATCH', path, { spec: { algorithm: 'Fernet', issuer: null, audiences: null } });
  assert.equal(fernet.status, 422);
  assert.match(messageOf(fernet.body), /spec\.algorithm never changes from or to Fernet/);
}

async function showsColumns(t: TestContext, server: ApiServer): Promise<void> {
  const kubectl = kubectlFor(t, server);
  if (!kubectl) return;
  for (const document of goodResources()) await server.request('POST', collection(document), document);
  const patch = async (plural: string, status: object): Promise<void> => {
    const path = `/apis/portcullis.dev/v1alpha1/namespaces/default/${plural}/whole/status?fieldValidation=Strict`;
    const { status: code, body } = await server.request('PATCH', path, { status });
    assert.equal(code, 200, messageOf(body));
  };
  const since = { lastTransitionTime: '2026-01-31T00:00:00Z', reason: 'Acknowledged', message: '' };
  const conditions = [
    { type: 'Ready', status: 'True', ...since },
    { type: 'Enforced', status: 'False', ...since },
  ];
  const next = { nextKey: 'kid-2', nextRotation: '2120-01-01T00:00:00Z' };
  await patch('signingkeysets', { conditions, activeKey: 'kid-1', ...next });
  await patch('accesspolicies', { conditions, pods: { matched: 3, current: 2, stale: 1 } });

  assert.match(
    (await kubectl(['get', 'sks', 'whole'])).stdout,
    /^NAME +READY +ALGORITHM +ACTIVE KEY +NEXT KEY +NEXT ROTATION +AGE\nwhole +True +HS256 +kid-1 +kid-2 +2120-01-01T00:00:00Z +\S+\n$/,
  );
  assert.match(
    (await kubectl(['get', 'pap', 'whole'])).stdout,
    /^NAME +READY +ENFORCED +MODE +PODS +AGE\nwhole +True +False +Shadow +3 +\S+\n$/,
  );
  assert.match(
    (await kubectl(['get', 'prl', 'whole'])).stdout,
    /^NAME +READY +ENFORCED +MODE +PODS +AGE\nwhole +Enforce +\S+\n$/,
  );
  const names = (await kubectl(['get', 'portcullis', '-o', 'name'])).stdout;
  for (const { singular } of kinds) assert.match(names, new RegExp(`^${singular}\\.portcullis\\.dev/whole$`, 'm'));
}

async function explainsFields(t: TestContext, server: ApiServer): Promise<void> {
  const kubectl = kubectlFor(t, server);
  if (!kubectl) return;
  const explained = (await kubectl(['explain', 'sks.spec.rotation'])).stdout;
  assert.match(explained, /A\s+duration\s+such\s+as\s+90s\s+or\s+1h30m\.\s+Default:\s+720h\./);
  assert.doesNotMatch(explained, /<no description>/);
}

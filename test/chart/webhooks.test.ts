import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installedChart, list, succeeds, untilRefused } from './installed-chart.ts';
import { NAMESPACE } from './rendered-chart.ts';

const POD = { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec: { containers: [{ name: 'web', image: 'web:1' }] } };
const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {},
  spec: { ports: [{ port: 80 }], selector: { app: 'web' } },
};
const KEY_SET = {
  apiVersion: 'portcullis.dev/v1alpha1',
  kind: 'SigningKeySet',
  metadata: {},
  spec: { algorithm: 'ES256', issuer: 'https://auth.example', audiences: ['api'], maxTokenLifetime: '1h' },
};
const asking = { 'portcullis.dev/access-policy': 'orders' };

const object = (kind: object, name: string, annotations: object = {}, namespace = 'open') => ({
  ...kind,
  metadata: { name, namespace, annotations },
});
const patched = (resource: string, patch: object) => [
  ...['patch', resource, 'there', '-n', 'open', '--type=merge', '-p'],
  JSON.stringify(patch),
];
const annotated = (name: string) => ({ metadata: { annotations: { [name]: 'x' } } });
const CREATE = ['create', '-f', '-'];

/** What an admin sends while no operator answers, and the webhook that refuses it. */
const AWAY: readonly (readonly [name: string, args: readonly string[], refused: string | null, stdin?: object])[] = [
  ['a plain pod', CREATE, null, object(POD, 'plain')],
  ['a pod with other annotations', CREATE, null, object(POD, 'other', { a: 'b' })],
  ['a pod that asks', CREATE, 'annotated.pods', object(POD, 'asks', asking)],
  ['a plain pod in a guarded namespace', CREATE, 'guarded.pods', object(POD, 'plain', {}, 'guarded')],
  ['a pod that asks in the namespace of the release', CREATE, null, object(POD, 'asks', asking, NAMESPACE)],
  ['a pod that asks in kube-system', CREATE, null, object(POD, 'asks', asking, 'kube-system')],
  ['a plain Service', CREATE, null, object(SERVICE, 'plain')],
  ['a Service that asks', CREATE, 'services', object(SERVICE, 'asks', asking)],
  ['a finalizer of a guarded Service', patched('service', { metadata: { finalizers: ['example.com/lb'] } }), null],
  ['another annotation of it', patched('service', annotated('example.com/lb')), null],
  ['an annotation of ours', patched('service', annotated('portcullis.dev/rate-limit-policy')), 'services'],
  ['another port of it', patched('service', { spec: { ports: [{ port: 81 }] } }), 'services'],
  ['its deletion', ['delete', 'service', 'there', '-n', 'open', '--wait=false'], null],
  ['a new key set', CREATE, 'policies', object(KEY_SET, 'new')],
  ['a label of a key set', patched('signingkeyset', { metadata: { labels: { a: 'b' } } }), null],
  ['another spec of it', patched('signingkeyset', { spec: { clockSkew: '5s' } }), 'policies'],
  ['the deletion of a key set', ['delete', 'signingkeyset', 'there', '-n', 'open'], null],
];

test('while no operator answers, only what asks for protection is refused', async (t) => {
  const chart = await installedChart(t);
  if (!chart) return;
  const { kubectl } = chart;
  for (const namespace of ['open', 'guarded']) await succeeds(kubectl(['create', 'namespace', namespace]));
  await succeeds(kubectl(['label', 'namespace', 'guarded', 'portcullis.dev/guarded=true']));
  await succeeds(kubectl(['create', '-f', '-'], list([object(SERVICE, 'there', asking), object(KEY_SET, 'there')])));
  await chart.apply(chart.webhooks);
  for (const probe of [object(KEY_SET, 'probe'), object(POD, 'probe', asking)]) {
    await untilRefused(() => succeeds(kubectl([...CREATE, '--dry-run=server'], JSON.stringify(probe))));
  }
  for (const [name, args, refused, stdin] of AWAY) {
    await t.test(refused === null ? `goes through: ${name}` : `is refused: ${name}`, async () => {
      const { code, stderr } = await kubectl(args, JSON.stringify(stdin));
      if (refused === null) assert.equal(code, 0, stderr);
      else assert.match(stderr, new RegExp(`failed calling webhook "${refused}\\.portcullis\\.dev"`));
    });
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serviceWarnings } from './coverage-services.ts';
import { readIssuer } from './coverage-tls.ts';
import { type CoverageCase, describeCoverage } from './testing/coverage-case.ts';
import {
  exampleNamespace as namespace,
  examplePod as pod,
  exampleService as service,
} from './testing/coverage-objects.ts';

const ASK = { 'access-policy': 'orders' };
const SECRET = { 'tls-secret': 'orders-tls' };
const ISSUER = { 'tls-issuer': 'internal-ca' };

const secrets: readonly CoverageCase[] = [
  {
    name: 'nobody asks for TLS',
    input: { services: [service('web', ASK)] },
    settings: { tlsSecret: null },
    warnings: [],
  },
  {
    name: 'a Service names a Secret',
    input: { services: [service('web', { ...ASK, ...SECRET })] },
    settings: { tlsSecret: 'orders-tls' },
    reason: null,
    warnings: [],
  },
  {
    name: 'the pod template is nearer',
    input: { pod: pod({ 'tls-secret': 'own' }), services: [service('web', { ...ASK, ...SECRET })] },
    settings: { tlsSecret: 'own' },
  },
  {
    name: 'the Service is nearer than the namespace',
    input: { services: [service('web', { ...ASK, ...SECRET })], namespace: namespace({ 'tls-secret': 'all' }) },
    settings: { tlsSecret: 'orders-tls' },
  },
  {
    name: 'but not in a Required namespace',
    input: {
      pod: pod({ 'tls-secret': 'own' }),
      services: [service('web', { ...ASK })],
      namespace: namespace({ 'tls-secret': 'all' }, 'Required'),
    },
    settings: { tlsSecret: 'all' },
    warnings: ['OptOutRefused: portcullis.dev/tls-secret: the pod says own'],
  },
  {
    name: 'two Services differ: the pod refuses all traffic',
    input: { services: [service('web', { ...ASK, ...SECRET }), service('b', { ...ASK, 'tls-secret': 'other' })] },
    reason: 'Conflicted',
    warnings: ['Conflicted: portcullis.dev/tls-secret: Service web says orders-tls, Service b says other'],
  },
  {
    name: 'a Service that says nothing does not differ',
    input: { services: [service('web', { ...ASK, ...SECRET }), service('b', ASK)] },
    reason: null,
    settings: { tlsSecret: 'orders-tls' },
  },
  ...['Orders TLS', '', '../x', 'a'.repeat(254)].map((value) => ({
    name: `a Secret that cannot be: ${value.slice(0, 12)}`,
    input: { services: [service('web', { ...ASK, 'tls-secret': value })] },
    deny: true,
    settings: null,
    warnings: [`portcullis.dev/tls-secret: ${JSON.stringify(value)} is of no use: write the name of a Secret`],
  })),
  {
    name: 'a Secret that cannot be, where nobody is guarded',
    input: { services: [service('web', { 'tls-secret': 'Orders TLS' })] },
    deny: false,
    reason: 'NotAsked',
  },
];

const issuers: readonly CoverageCase[] = [
  {
    name: 'on a Service: a Secret of its own name',
    input: { services: [service('web', { ...ASK, ...ISSUER })] },
    settings: { tlsSecret: 'portcullis-tls-web' },
    reason: null,
    warnings: [],
  },
  {
    name: 'with a Secret: that one',
    input: { services: [service('web', { ...ASK, ...ISSUER, ...SECRET })] },
    settings: { tlsSecret: 'orders-tls' },
  },
  {
    name: 'two Services have a certificate each',
    input: { services: [service('web', { ...ASK, ...ISSUER }), service('b', { ...ASK, ...ISSUER })] },
    reason: 'Conflicted',
    warnings: ['Service web says portcullis-tls-web, Service b says portcullis-tls-b'],
  },
  {
    name: 'two Services share one',
    input: {
      services: [service('web', { ...ASK, ...ISSUER, ...SECRET }), service('b', { ...ASK, ...ISSUER, ...SECRET })],
    },
    reason: null,
    settings: { tlsSecret: 'orders-tls' },
  },
  {
    name: 'on the namespace: as on its Service',
    input: { services: [service('web', ASK)], namespace: namespace(ISSUER) },
    reason: null,
    settings: { tlsSecret: 'portcullis-tls-web' },
  },
  {
    name: 'on the namespace, and two Services',
    input: { services: [service('web', ASK), service('b', ASK)], namespace: namespace(ISSUER) },
    reason: 'Conflicted',
    warnings: ['Conflicted: portcullis.dev/tls-issuer: Services web, b have a certificate each'],
  },
  {
    name: 'on the namespace, and a Service says which Secret',
    input: { services: [service('web', { ...ASK, ...SECRET }), service('b', ASK)], namespace: namespace(ISSUER) },
    reason: null,
    settings: { tlsSecret: 'orders-tls' },
  },
  {
    name: 'on a Required namespace: a pod does not replace it',
    input: {
      pod: pod({ 'tls-secret': 'own' }),
      services: [service('web', ASK)],
      namespace: namespace({ ...ASK, ...ISSUER }, 'Required'),
    },
    reason: null,
    settings: { tlsSecret: 'portcullis-tls-web' },
    warnings: ['OptOutRefused: the pod: portcullis.dev/tls-secret'],
  },
  {
    name: 'on the namespace of a pod without Service: nothing to name',
    input: { pod: pod(ASK), namespace: namespace(ISSUER) },
    reason: 'Conflicted',
    warnings: ['no Service selects the pod'],
  },
  {
    name: 'on the pod template: not admitted',
    input: { pod: pod({ ...ASK, ...ISSUER }), services: [service('web', ASK)] },
    deny: true,
    settings: null,
    warnings: ['the pod: portcullis.dev/tls-issuer: write it on the Service'],
  },
  {
    name: 'no issuer can be named so',
    input: { services: [service('web', { ...ASK, 'tls-issuer': 'VaultIssuer/x' })] },
    deny: true,
    settings: null,
    warnings: ['"VaultIssuer/x" is of no use: write the name of an Issuer'],
  },
];

describeCoverage('tls-secret', secrets);
describeCoverage('tls-issuer', issuers);

test('readIssuer', () => {
  assert.deepEqual(readIssuer('ca'), { kind: 'Issuer', name: 'ca' });
  assert.deepEqual(readIssuer('Issuer/ca'), { kind: 'Issuer', name: 'ca' });
  assert.deepEqual(readIssuer('ClusterIssuer/ca.example'), { kind: 'ClusterIssuer', name: 'ca.example' });
  for (const text of ['', 'ClusterIssuer/', 'ClusterIssuer/A', 'a/b', 'clusterissuer/a', 'a/b/c']) {
    assert.equal(readIssuer(text), undefined, text);
  }
});

test('a Service that asks for TLS alone is told that it does nothing', () => {
  for (const notes of [SECRET, ISSUER]) {
    const [warning = ''] = serviceWarnings(service('web', notes), namespace(), 'Takeover');
    assert.match(warning, /alone do nothing: add portcullis\.dev\/access-policy/);
  }
});

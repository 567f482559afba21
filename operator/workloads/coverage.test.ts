import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ServicePort } from '../kube/objects.ts';
import { COVERAGE_REASONS, PORT_REASONS } from './coverage.ts';
import { type CoverageCase, describeCoverage } from './testing/coverage-case.ts';
import {
  exampleNamespace as namespace,
  examplePod as pod,
  exampleService as service,
} from './testing/coverage-objects.ts';

const ASK = { 'access-policy': 'orders' };
const asking = service('web', ASK);
const HTTP: ServicePort = { port: 80, targetPort: 'http' };

const who: readonly CoverageCase[] = [
  { name: 'nobody asks', input: { services: [service('web')] }, reason: 'NotAsked', settings: null, warnings: [] },
  {
    name: 'a Service asks',
    input: { services: [service('web', { ...ASK, 'rate-limit-policy': 'standard' })] },
    reason: null,
    settings: {
      accessPolicy: 'orders',
      rateLimitPolicy: 'standard',
      capture: 'Takeover',
      bindEnv: null,
      harden: null,
      rollout: 'Report',
      networkPolicy: null,
      issueTokens: false,
      requiredSecrets: [],
    },
    ports: ['8000/http'],
    warnings: [],
  },
  {
    name: 'the pod issues tokens where its Service does not',
    input: {
      pod: pod({ 'issue-tokens': 'true' }),
      services: [service('web', { ...ASK, 'issue-tokens': 'false' })],
    },
    settings: { issueTokens: true },
    warnings: [],
  },
  {
    name: 'a Service that selects other pods does not count',
    input: { services: [service('web', ASK, [HTTP], { selector: { app: 'trading', tier: 'gold' } })] },
    reason: 'NotAsked',
  },
  {
    name: 'a Service without a selector does not count',
    input: { services: [service('web', ASK, [HTTP], { selector: {} })] },
    reason: 'NotAsked',
  },
  {
    name: 'an ExternalName Service does not count',
    input: { services: [service('web', ASK, [HTTP], { type: 'ExternalName' })] },
    reason: 'NotAsked',
  },
  {
    name: 'the pod is nearer than the Service, the Service than the namespace, setting by setting',
    input: {
      pod: pod({ 'access-policy': 'of-pod' }),
      services: [service('web', { 'access-policy': 'of-service', 'rate-limit-policy': 'of-service' })],
      namespace: namespace({ 'access-policy': 'of-ns', 'rate-limit-policy': 'of-ns', harden: 'Restricted' }),
    },
    settings: { accessPolicy: 'of-pod', rateLimitPolicy: 'of-service', harden: 'Restricted' },
    warnings: [],
  },
  {
    name: 'a namespace asks for pods with a Service',
    input: { services: [service('web')], namespace: namespace(ASK) },
    ports: ['8000/http'],
  },
  { name: 'a namespace does not ask for pods without one', input: { namespace: namespace(ASK) }, reason: 'NotAsked' },
  {
    name: 'a Service opts out of what its namespace asks',
    input: { services: [service('web', { inject: 'false' })], namespace: namespace(ASK) },
    reason: 'OptedOut',
    settings: null,
  },
  {
    name: 'a namespace opts out of what it asks itself, for those that ask for nothing',
    input: { services: [service('web')], namespace: namespace({ ...ASK, inject: 'false' }) },
    reason: 'OptedOut',
    settings: null,
  },
  {
    name: 'a pod opts out of what its Service asks',
    input: { pod: pod({ inject: 'false' }), services: [asking] },
    reason: 'OptedOut',
    settings: null,
  },
  {
    name: 'inject: "no" is no opt-out',
    input: { pod: pod({ inject: 'no' }), services: [asking] },
    reason: null,
    warnings: ['the pod: portcullis.dev/inject: "no" is of no use: write "false"'],
  },
  {
    name: 'the namespace is Disabled',
    input: { pod: pod(ASK), namespace: namespace({}, 'Disabled') },
    reason: 'Disabled',
    settings: null,
  },
  {
    name: 'Disabled is no reason where nobody asks',
    input: { namespace: namespace({}, 'Disabled') },
    reason: 'NotAsked',
  },
  {
    name: 'limits alone guard nothing',
    input: { services: [service('web', { 'rate-limit-policy': 'standard' })] },
    reason: 'NotAsked',
    warnings: ['alone guards nothing: add portcullis.dev/access-policy: NAME'],
  },
  {
    name: 'hostNetwork',
    input: { pod: pod({}, { hostNetwork: true }), services: [asking] },
    reason: 'HostNetwork',
    deny: false,
    settings: null,
    warnings: ['remove hostNetwork'],
  },
  {
    name: 'injected already',
    input: { pod: pod({}, { initContainers: [{ name: 'portcullis' }] }), services: [asking] },
    reason: 'AlreadyInjected',
    deny: false,
    settings: null,
    warnings: [],
  },
  {
    name: 'two Services say different policies',
    input: { services: [asking, service('admin', { 'access-policy': 'strict' })] },
    reason: 'Conflicted',
    settings: { accessPolicy: 'orders' },
    warnings: [/^Conflicted: portcullis\.dev\/access-policy: Service web says orders, Service admin says strict/],
  },
  {
    name: 'two Services say different captures',
    input: { services: [asking, service('admin', { ...ASK, capture: 'Bind' }), service('b', { capture: 'Takeover' })] },
    reason: 'Conflicted',
  },
  {
    name: 'the pod decides between Services that differ',
    input: { pod: pod({ 'access-policy': 'mine' }), services: [asking, service('b', { 'access-policy': 'strict' })] },
    reason: null,
    settings: { accessPolicy: 'mine' },
  },
];

const required: readonly CoverageCase[] = [
  {
    name: 'a nearer policy does not replace the required one',
    input: { services: [asking], namespace: namespace({ 'access-policy': 'base' }, 'Required') },
    settings: { accessPolicy: 'base' },
    warnings: ['OptOutRefused: portcullis.dev/access-policy: Service web says orders, but namespace shop says base'],
  },
  {
    name: 'nobody opts out',
    input: {
      pod: pod({ inject: 'false', 'skip-ports': '8000' }),
      services: [service('web', { inject: 'false' })],
      namespace: namespace(ASK, 'Required'),
    },
    reason: null,
    ports: ['8000/http'],
    warnings: [
      'OptOutRefused: the pod: portcullis.dev/inject does nothing',
      'OptOutRefused: the pod: portcullis.dev/skip-ports does nothing',
      'OptOutRefused: Service web: portcullis.dev/inject does nothing',
    ],
  },
  {
    name: 'the namespace itself may leave ports out',
    input: {
      services: [service('web', {}, [HTTP, { port: 9000, targetPort: 9000 }])],
      namespace: namespace({ ...ASK, 'skip-ports': '9000' }, 'Required'),
    },
    ports: ['8000/http'],
    skipped: ['9000 SkipPorts'],
    warnings: [],
  },
  {
    name: 'what the namespace does not say, the nearer may',
    input: {
      services: [service('web', { 'rate-limit-policy': 'standard' })],
      namespace: namespace(ASK, 'Required'),
    },
    settings: { accessPolicy: 'orders', rateLimitPolicy: 'standard' },
    warnings: [],
  },
  {
    name: 'pods without a Service are guarded at the ports that they declare',
    input: { namespace: namespace(ASK, 'Required') },
    ports: ['8000/http'],
  },
  {
    name: 'a Job without ports is left alone',
    input: { pod: pod({}, { containers: [{ name: 'job' }] }), namespace: namespace(ASK, 'Required') },
    reason: 'NothingToGuard',
    settings: null,
    deny: false,
  },
  {
    name: 'hostNetwork is not admitted',
    input: { pod: pod({}, { hostNetwork: true }), services: [asking], namespace: namespace(ASK, 'Required') },
    reason: 'HostNetwork',
    deny: true,
    warnings: [/^HostNetwork/],
  },
  {
    name: 'a container that only has the name is not admitted',
    input: {
      pod: pod({}, { initContainers: [{ name: 'portcullis' }] }),
      services: [asking],
      namespace: namespace(ASK, 'Required'),
    },
    reason: 'AlreadyInjected',
    deny: true,
    warnings: [/^AlreadyInjected: .* remove it/],
  },
  {
    name: 'a namespace that names no policy admits no pod with ports',
    input: { namespace: namespace({}, 'Required') },
    reason: 'NotAsked',
    deny: true,
    warnings: ['annotate it with portcullis.dev/access-policy: NAME'],
  },
  {
    name: 'a label with another word is read as Required',
    input: { services: [asking], namespace: namespace({ 'access-policy': 'base' }, 'required') },
    settings: { accessPolicy: 'base' },
    warnings: ['label portcullis.dev/policy: "required" is read as Required; write Required, Default', 'OptOutRefused'],
  },
];

describeCoverage('who asks', who);
describeCoverage('in a Required namespace', required);

test('every reason, and no other, is explained in docs/injection.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/injection.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([A-Z]\w+)` \|/gm)].map(([, reason]) => reason);
  assert.deepEqual(rows, [...COVERAGE_REASONS, ...PORT_REASONS]);
});

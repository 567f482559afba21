import assert from 'node:assert/strict';
import { test } from 'node:test';
import { injectPod } from '../injection/inject-pod.ts';
import { bundleKeyFingerprint, type Injected } from '../injection/injected.ts';
import type { Pod } from '../kube/objects.ts';
import { type CoverageInput, coverageOf } from './coverage.ts';
import { type InjectionChange, injectionChanges } from './coverage-changes.ts';
import {
  coverageInput,
  exampleNamespace as namespace,
  examplePod as pod,
  exampleService as service,
  TEMPLATE,
} from './testing/coverage-objects.ts';

const KEY = 'AAAA';
const ASK = { 'access-policy': 'orders', 'required-secrets': 'bot/key' };
const NUMERIC = [{ port: 80, targetPort: 8000 }];
const before = coverageInput({ services: [service('web', ASK)] });

const cases: readonly [
  name: string,
  then: Partial<CoverageInput>,
  changes: readonly InjectionChange[],
  key?: string,
][] = [
  ['nothing', {}, []],
  ['a new Service of the same port', { services: [service('web', ASK), service('b', ASK)] }, []],
  ['the policy', { services: [service('web', { ...ASK, 'access-policy': 'other' })] }, ['AccessPolicy']],
  ['limits are added', { services: [service('web', { ...ASK, 'rate-limit-policy': 'x' })] }, ['RateLimitPolicy']],
  ['the capture', { services: [service('web', { ...ASK, capture: 'Bind' })] }, ['Capture']],
  ['tokens are issued', { services: [service('web', { ...ASK, 'issue-tokens': 'true' })] }, ['IssueTokens']],
  ['a certificate', { services: [service('web', { ...ASK, 'tls-secret': 'web-tls' })] }, ['TlsSecret']],
  ['ports', { services: [service('web', { ...ASK, capture: 'Bind' }, NUMERIC)] }, ['Capture', 'Ports']],
  ['a port that is now numeric', { services: [service('web', ASK, NUMERIC)] }, ['Ports', 'Refusal']],
  ['the bundle key', {}, ['BundleKey'], 'BBBB'],
  ['a Secret vanishes', { hasSecretKey: () => false }, ['Refusal']],
  ['nobody asks any more', { services: [service('web')] }, ['Removed']],
  ['the namespace is Disabled', { namespace: namespace({}, 'Disabled') }, ['Removed']],
  ['the namespace requires the same', { namespace: namespace({ 'access-policy': 'orders' }, 'Required') }, []],
];

function injectedPod(input: CoverageInput): { running: Pod; injected: Injected } {
  const options = {
    namespace: 'shop',
    sidecar: TEMPLATE,
    bundleKey: KEY,
    serials: { access: 0, limits: 0, issuer: 0 },
  };
  const running = injectPod(input.pod, coverageOf(input), options);
  return { running, injected: JSON.parse(running.metadata.annotations?.['portcullis.dev/injected'] ?? '') };
}

for (const [name, then, changes, key = KEY] of cases) {
  test(`injectionChanges: ${name}`, () => {
    const { running, injected } = injectedPod(before);
    const input = { ...before, ...then, pod: running };
    assert.deepEqual(injectionChanges(input, injected, bundleKeyFingerprint(key)), changes);
  });
}

test('injectionChanges: nothing, whatever the capture and the names', () => {
  const containers = [
    {
      name: 'a',
      ports: [
        { name: 'http', containerPort: 8000 },
        { name: 'alias', containerPort: 8000 },
      ],
    },
  ];
  for (const capture of ['Takeover', 'Bind']) {
    const both = [
      { port: 80, targetPort: 'http' },
      { port: 81, targetPort: 'alias' },
    ];
    const input = coverageInput({
      pod: pod({}, { containers }),
      services: [service('web', { ...ASK, capture }, both)],
    });
    const { running, injected } = injectedPod(input);
    assert.deepEqual(injectionChanges({ ...input, pod: running }, injected, bundleKeyFingerprint(KEY)), [], capture);
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANNOTATIONS, LABELS } from '../../policy/api/names.ts';
import type { Injected } from '../injection/injected.ts';
import type { Namespace, Service } from '../kube/objects.ts';
import { type AuditInput, auditPod, type Finding } from './auditor-finding.ts';
import { injectedOf } from './pod-view.ts';
import { type ExamplePod, examplePod, INJECTED } from './testing/example-pods.ts';

const service = (annotations: Record<string, string>): Service => ({
  metadata: { name: 'orders', namespace: 'shop', annotations },
  spec: { selector: { app: 'orders' }, ports: [{ port: 80, targetPort: 'http' }] },
});
const asks = { [ANNOTATIONS.accessPolicy]: 'orders' };
const namespace = (labels: Record<string, string> = {}): Namespace => ({ metadata: { name: 'shop', labels } });

function audit(example: ExamplePod, changes: Partial<AuditInput> = {}): Finding | null {
  const pod = examplePod('a', example);
  return auditPod({
    pod,
    namespace: namespace(),
    services: [service(asks)],
    defaultCapture: 'Takeover',
    hasSecretKey: () => null,
    injected: injectedOf(pod),
    bundleKey: INJECTED.bundleKey,
    policyNames: { access: ['orders'], limits: ['standard'] },
    ...changes,
  });
}

test('what is wrong with a running pod', async (t) => {
  const injected = (changes: Partial<Injected>): ExamplePod => ({ injected: changes });
  const plain: ExamplePod = { injected: null };
  const table: readonly [string, Finding | null, Finding['kind'] | null, RegExp?][] = [
    ['injected as asked', audit({}), null],
    ['plain, and nobody asks', audit(plain, { services: [] }), null],
    ['plain, though a Service asks', audit(plain), 'Unprotected', /AccessPolicy orders is asked for/],
    ['opted out', audit({ injected: null, metadata: { annotations: { [ANNOTATIONS.inject]: 'false' } } }), null],
    [
      'hostNetwork under Required',
      audit({ injected: null, spec: { hostNetwork: true } }, { namespace: namespace({ [LABELS.policy]: 'Required' }) }),
      'Unprotected',
      /hostNetwork/,
    ],
    ['another policy', audit(injected({ accessPolicy: 'old' })), 'RestartRequired', /another AccessPolicy/],
    [
      'a rate limit policy more',
      audit({}, { services: [service({ ...asks, [ANNOTATIONS.rateLimitPolicy]: 'standard' })] }),
      'RestartRequired',
      /another RateLimitPolicy/,
    ],
    [
      'another capture',
      audit({}, { services: [service({ ...asks, [ANNOTATIONS.capture]: 'Bind' })] }),
      'RestartRequired',
      /capture/,
    ],
    ['another bundle key', audit({}, { bundleKey: 'fedcba9876543210' }), 'RestartRequired', /key that signs bundles/],
    ['a refusal that is over', audit(injected({ refuse: ['Conflicted'] })), 'RestartRequired', /was resolved/],
    ['nobody asks any more', audit({}, { services: [] }), 'RestartRequired', /nothing asks/],
    [
      'a policy that does not exist',
      audit({}, { policyNames: { access: ['order', 'b'], limits: [] } }),
      'PolicyNotFound',
      /^AccessPolicy orders does not exist; there are b, order$/,
    ],
    ['no policy at all', audit({}, { policyNames: { access: [], limits: [] } }), 'PolicyNotFound', /there is none/],
  ];
  for (const [name, finding, kind, message = /^/] of table) {
    await t.test(name, () => {
      assert.equal(finding?.kind ?? null, kind);
      assert.match(finding?.message ?? '', message);
    });
  }
});

test('a required Secret that is still missing is no reason for a restart; one that came is', () => {
  const pod = { injected: { refuse: ['RequiredSecretMissing'] } };
  const services = [service({ ...asks, [ANNOTATIONS.requiredSecrets]: 'bot/key' })];
  assert.equal(audit(pod, { services, hasSecretKey: () => false }), null);
  assert.equal(audit(pod, { services, hasSecretKey: () => true })?.kind, 'RestartRequired');
});

test('names the policies that a restart would bring, and how it is to be done', () => {
  const services = [service({ ...asks, [ANNOTATIONS.rateLimitPolicy]: 'standard', [ANNOTATIONS.rollout]: 'Auto' })];
  const policies = [
    { kind: 'Access', namespace: 'shop', name: 'orders' },
    { kind: 'Limits', namespace: 'shop', name: 'standard' },
  ];
  for (const example of [{ injected: null }, { injected: { accessPolicy: 'old' } }]) {
    const restart = audit(example, { services })?.restart;
    assert.deepEqual(restart?.policies, policies);
    assert.equal(restart?.rollout, 'Auto');
  }
  assert.equal(audit({ injected: null })?.restart?.rollout, 'Report');
});

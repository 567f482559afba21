import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { policyStatus } from '../bundles/policy-status.ts';
import { argumentsOf, container, inject } from '../injection/testing/injected-pod.ts';
import { parseSidecarStatus } from './acknowledgement-status.ts';
import { injectionChanges } from './coverage-changes.ts';
import { enforcementOf, isOnlyTried, policiesOf, runningBundle, standingOf } from './enforcement.ts';
import { injectedOf } from './pod-view.ts';
import { describeCoverage } from './testing/coverage-case.ts';
import { coverageInput, exampleNamespace, examplePod, exampleService } from './testing/coverage-objects.ts';
import { exampleStatus, INJECTED } from './testing/example-pods.ts';

const ASK = { 'access-policy': 'orders' };
const NEXT = { ...ASK, 'candidate-access-policy': 'orders-next', 'candidate-rate-limit-policy': 'slow' };
const BOTH = { accessPolicy: 'orders-next', rateLimitPolicy: 'slow' };

describeCoverage('candidates', [
  {
    name: 'on a Service',
    input: { services: [exampleService('web', NEXT)] },
    reason: null,
    settings: { accessPolicy: 'orders', rateLimitPolicy: null, candidates: BOTH },
    warnings: [],
  },
  {
    name: 'the nearest decides',
    input: {
      pod: examplePod({ 'candidate-access-policy': 'mine' }),
      services: [exampleService('web', NEXT)],
    },
    settings: { candidates: { accessPolicy: 'mine', rateLimitPolicy: 'slow' } },
    warnings: [],
  },
  {
    name: 'of a namespace',
    input: {
      namespace: exampleNamespace({ 'candidate-access-policy': 'strict' }),
      services: [exampleService('web', ASK)],
    },
    settings: { candidates: { accessPolicy: 'strict', rateLimitPolicy: null } },
    warnings: [],
  },
  {
    name: 'none',
    input: { services: [exampleService('web', ASK)] },
    settings: { candidates: undefined as never },
    warnings: [],
  },
  {
    name: 'a name that no policy can have is not tried, and the pod is guarded',
    input: { services: [exampleService('web', { ...ASK, 'candidate-access-policy': 'Orders!' })] },
    reason: null,
    settings: { accessPolicy: 'orders', candidates: undefined as never },
    warnings: [
      '"Orders!" is of no use: write the name of an AccessPolicy, such as orders-next; none is tried until then',
    ],
  },
  {
    name: 'Services that differ: none is tried, and the pod is guarded',
    input: {
      services: [exampleService('one', NEXT), exampleService('two', { ...ASK, 'candidate-access-policy': 'other' })],
    },
    reason: null,
    settings: { accessPolicy: 'orders', candidates: { accessPolicy: null, rateLimitPolicy: 'slow' } },
    warnings: ['Service one says orders-next, Service two says other: none is tried; write the same on both'],
  },
  {
    name: 'the live policy itself',
    input: { services: [exampleService('web', { ...ASK, 'candidate-access-policy': 'orders' })] },
    settings: { accessPolicy: 'orders', candidates: undefined as never },
    warnings: ['orders is the live policy itself; name another, or remove the annotation'],
  },
  {
    name: 'alone it guards nothing',
    input: { services: [exampleService('web', { 'candidate-access-policy': 'orders' })] },
    reason: 'NotAsked',
    settings: null,
    warnings: ['portcullis.dev/candidate-access-policy alone guards nothing: add portcullis.dev/access-policy: NAME'],
  },
]);

describe('candidates of a pod', () => {
  const pod = inject(examplePod(), [exampleService('web', NEXT)]);
  const injected = injectedOf(pod)!;

  it('are told to the sidecar and mounted, optional, for the sidecar alone', () => {
    assert.deepEqual(argumentsOf(pod).candidates, BOTH);
    const mounts = container(pod, 'portcullis').volumeMounts?.filter(({ name }) => name.includes('candidate'));
    assert.deepEqual(mounts, [
      { name: 'portcullis-candidate-access', mountPath: '/etc/portcullis/candidate-access', readOnly: true },
      { name: 'portcullis-candidate-limits', mountPath: '/etc/portcullis/candidate-limits', readOnly: true },
    ]);
    const volumes = pod.spec?.volumes?.filter(({ name }) => name.includes('candidate'));
    const secret = (secretName: string) => ({ secretName, optional: true, defaultMode: 0o444 });
    assert.deepEqual(volumes, [
      { name: 'portcullis-candidate-access', secret: secret('portcullis-access-orders-next') },
      { name: 'portcullis-candidate-limits', secret: secret('portcullis-limits-slow') },
    ]);
  });

  it('stand in the annotation, and what is not as we write it is not read', () => {
    assert.deepEqual(injected.candidates, BOTH);
    const annotated = (candidates: unknown) =>
      injectedOf({
        ...pod,
        metadata: {
          ...pod.metadata,
          annotations: { 'portcullis.dev/injected': JSON.stringify({ ...injected, candidates }) },
        },
      });
    for (const bad of [null, 'x', { accessPolicy: 7, rateLimitPolicy: null }, {}]) assert.equal(annotated(bad), null);
    assert.deepEqual(annotated({ accessPolicy: null, rateLimitPolicy: 'x' })?.candidates, {
      accessPolicy: null,
      rateLimitPolicy: 'x',
    });
  });

  it('are asked after like the others, and known as only tried', () => {
    const policies = policiesOf('shop', injected);
    assert.deepEqual(
      policies.map((policy) => [policy.kind, policy.name, isOnlyTried(policy, injected)]),
      [
        ['Access', 'orders', false],
        ['Access', 'orders-next', true],
        ['Limits', 'slow', true],
      ],
    );
    const status = exampleStatus({ serial: 7, hash: 'ab' });
    const candidateAccess = { ...status.bundles.access!, name: 'orders-next', serial: 9, hash: 'cd' };
    const both = parseSidecarStatus(JSON.stringify({ ...status, bundles: { ...status.bundles, candidateAccess } }));
    const next = { kind: 'Access', namespace: 'shop', name: 'orders-next' } as const;
    assert.deepEqual(runningBundle(next, both), { serial: 9, hash: 'cd' });
    assert.deepEqual(standingOf(next, { serial: 9, hash: 'cd' }, both, null), { kind: 'Current' });
    assert.deepEqual(runningBundle({ ...next, name: 'orders' }, both), { serial: 7, hash: 'ab' });
    assert.throws(
      () => parseSidecarStatus(JSON.stringify({ ...status, bundles: { ...status.bundles, candidateAccess: 7 } })),
      TypeError,
    );
  });

  it('come and go by a restart', () => {
    const input = coverageInput({ pod, services: [exampleService('web', NEXT)] });
    assert.deepEqual(injectionChanges(input, injected, injected.bundleKey), []);
    const without = coverageInput({ pod, services: [exampleService('web', ASK)] });
    assert.deepEqual(injectionChanges(without, injected, injected.bundleKey), ['Candidates']);
  });
});

describe('a policy that is only tried', () => {
  const current = { kind: 'Current' } as const;
  const enforced = (pods: readonly boolean[]): string | undefined => {
    const standings = pods.map((isCandidate, index) => ({ name: `p${index}`, standing: current, isCandidate }));
    const { conditions } = policyStatus({
      kind: 'AccessPolicy',
      name: 'orders-next',
      findings: [],
      notReady: null,
      inUse: { serial: 7, mode: 'Enforce', pods: enforcementOf(standings, []) },
      secretName: 'x',
      secretMissing: null,
    });
    const found = conditions.find(({ type }) => type === 'Enforced');
    return `${found?.status} ${found?.reason} ${found?.message}`;
  };

  it('is not said to be enforced', () => {
    assert.match(enforced([true, true])!, /^False Candidate all pods run serial 7 beside the policy that they enforce/);
    assert.equal(enforced([true, false])!, 'True Acknowledged all pods run serial 7; 1 of 2 only try it');
    assert.equal(enforced([false, false])!, 'True Acknowledged all pods run serial 7');
    assert.equal(INJECTED.candidates, undefined);
  });
});

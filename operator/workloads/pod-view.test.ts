import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OWN_ANNOTATIONS } from '../../policy/api/names.ts';
import type { Node } from '../kube/objects.ts';
import { injectedOf, isCounted, isNodeReady, podView } from './pod-view.ts';
import { examplePod, INJECTED } from './testing/example-pods.ts';

const withAnnotation = (text: string) =>
  examplePod('a', { metadata: { annotations: { [OWN_ANNOTATIONS.injected]: text } } });

test('reads what was injected', () => {
  assert.deepEqual(injectedOf(examplePod('a')), INJECTED);
  const limits = { ...INJECTED, rateLimitPolicy: 'standard', refuse: ['Conflicted'] };
  assert.deepEqual(injectedOf(examplePod('a', { injected: limits })), limits);
  assert.equal(injectedOf(examplePod('a', { injected: null })), null);
  const { issueTokens: _, ...before } = INJECTED;
  const old = examplePod('a', { metadata: { annotations: { [OWN_ANNOTATIONS.injected]: JSON.stringify(before) } } });
  assert.deepEqual(injectedOf(old), INJECTED);
});

test('takes nothing for injected that is not as we write it', async (t) => {
  const changed = (changes: object): string => JSON.stringify({ ...INJECTED, ...changes });
  const table: Readonly<Record<string, string>> = {
    'no JSON': '{',
    null: 'null',
    'a list': '[]',
    'no access policy': changed({ accessPolicy: undefined }),
    'an empty access policy': changed({ accessPolicy: '' }),
    'a number for a policy': changed({ rateLimitPolicy: 1 }),
    'an unknown capture': changed({ capture: 'Magic' }),
    'a port out of range': changed({ adminPort: 65_536 }),
    'port 0': changed({ adminPort: 0 }),
    'ports that are none': changed({ ports: [null] }),
    'too many ports': changed({ ports: Array(129).fill(INJECTED.ports[0]) }),
    'reasons that are none': changed({ refuse: [1] }),
    'too long': changed({ image: 'x'.repeat(20_000) }),
  };
  for (const [name, text] of Object.entries(table)) {
    await t.test(name, () => assert.equal(injectedOf(withAnnotation(text)), null));
  }
  await t.test('no container of that name', () => {
    assert.equal(injectedOf(examplePod('a', { spec: { initContainers: [] } })), null);
  });
});

test('counts a pod that is not terminating, whose sidecar runs and whose node is Ready', async (t) => {
  const table = [
    { name: 'a running pod', pod: examplePod('a'), counted: true },
    { name: 'node not Ready', pod: examplePod('a'), nodeReady: false, counted: false },
    {
      name: 'terminating',
      pod: examplePod('a', { metadata: { deletionTimestamp: '2030-01-01T00:00:00Z' } }),
      counted: false,
    },
    { name: 'finished', pod: examplePod('a', { status: { phase: 'Succeeded' } }), counted: false },
    { name: 'no address', pod: podWithoutAddress(), counted: false },
    { name: "the node's address", pod: examplePod('a', { spec: { hostNetwork: true } }), counted: false },
    {
      name: 'sidecar waiting',
      pod: examplePod('a', { status: { initContainerStatuses: [{ name: 'portcullis', state: { waiting: {} } }] } }),
      counted: false,
    },
    {
      name: 'another container running',
      pod: examplePod('a', { status: { initContainerStatuses: [{ name: 'other', state: { running: {} } }] } }),
      counted: false,
    },
  ];
  for (const { name, pod, nodeReady = true, counted } of table) {
    await t.test(name, () => assert.equal(isCounted(pod, nodeReady), counted));
  }
});

function podWithoutAddress() {
  const pod = examplePod('a');
  const { podIP: _, ...status } = pod.status ?? {};
  return { ...pod, status };
}

test('a node is Ready when it says so, and while it is not known', () => {
  const node = (status: string): Node => ({
    metadata: { name: 'n' },
    status: { conditions: [{ type: 'Ready', status }] },
  });
  assert.deepEqual([undefined, node('True'), node('False'), node('Unknown')].map(isNodeReady), [
    true,
    true,
    false,
    false,
  ]);
});

test('keeps of a pod what is looked at, and nothing else', () => {
  const pod = examplePod('a', {
    metadata: { annotations: { 'example.com/large': 'x'.repeat(1000) }, finalizers: ['example.com/f'] },
    spec: {
      containers: [
        { name: 'app', image: 'secret', env: [{ name: 'PASSWORD', value: 'x' }], ports: [{ containerPort: 8000 }] },
      ],
      volumes: [{ name: 'v' }],
    },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'PodScheduled', status: 'True' },
      ],
    },
  });
  const view = podView(pod);
  assert.deepEqual(injectedOf(view), INJECTED);
  assert.equal(isCounted(view, true), true);
  assert.doesNotMatch(JSON.stringify(view), /example\.com|secret|PASSWORD|volumes|PodScheduled/);
  assert.deepEqual(podView(view), view);
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Container } from '../kube/objects.ts';
import { APP, examplePod as pod, exampleService as service } from '../workloads/testing/coverage-objects.ts';
import { ASK, container, inject } from './testing/injected-pod.ts';

describe('injectPod: harden', () => {
  const restricted = {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  };
  const hardened: readonly [string, object | undefined, object, object][] = [
    ['nothing is set', undefined, {}, restricted],
    [
      'added capabilities stay',
      { capabilities: { add: ['X'] } },
      {},
      { ...restricted, capabilities: { add: ['X'], drop: ['ALL'] } },
    ],
    [
      'what is set stays',
      { runAsNonRoot: false, allowPrivilegeEscalation: true },
      {},
      { ...restricted, runAsNonRoot: false, allowPrivilegeEscalation: true },
    ],
    [
      'the pod has set it',
      {},
      { runAsNonRoot: true, seccompProfile: {} },
      { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    ],
    [
      'root is left root',
      { runAsUser: 0 },
      {},
      {
        runAsUser: 0,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        seccompProfile: { type: 'RuntimeDefault' },
      },
    ],
    [
      'the privileged may escalate',
      { privileged: true },
      {},
      {
        privileged: true,
        capabilities: { drop: ['ALL'] },
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      },
    ],
  ];
  for (const [name, own, ofPod, then] of hardened) {
    test(`harden: Restricted: ${name}`, () => {
      const containers = [{ ...APP, ...(own && { securityContext: own as Record<string, unknown> }) }];
      const initContainers = [{ ...containers[0]!, name: 'init', ports: [] }];
      const original = pod({}, { containers, initContainers, securityContext: ofPod as Record<string, unknown> });
      const injected = inject(original, [service('web', { ...ASK, harden: 'Restricted' })]);
      assert.deepEqual(container(injected).securityContext, then);
      assert.deepEqual(container(injected, 'init').securityContext, then);
      assert.deepEqual(injected.spec?.securityContext, ofPod);
      assert.deepEqual(container(inject(original)).securityContext, own);
    });
  }

  test('harden: ReadOnly gives each container a /tmp of its own unless it has one, or a writable root', () => {
    const containers: readonly Container[] = [
      APP,
      { name: 'has-tmp', volumeMounts: [{ name: 'x', mountPath: '/tmp/' }] },
      { name: 'writable', securityContext: { readOnlyRootFilesystem: false } },
      { name: 'second' },
    ];
    const injected = inject(pod({}, { containers }), [service('web', { ...ASK, harden: 'ReadOnly' })]);
    const seen = containers.map(({ name }) => {
      const { securityContext, volumeMounts = [] } = container(injected, name);
      return [
        securityContext?.['readOnlyRootFilesystem'],
        ...volumeMounts.map((mount) => `${mount.name} ${mount.mountPath}`),
      ];
    });
    assert.deepEqual(seen, [
      [true, 'portcullis-tmp-0 /tmp'],
      [true, 'x /tmp/'],
      [false],
      [true, 'portcullis-tmp-1 /tmp'],
    ]);
    const volumes = injected.spec?.volumes?.map(({ name }) => name).filter((name) => name.startsWith('portcullis-tmp'));
    assert.deepEqual(volumes, ['portcullis-tmp-0', 'portcullis-tmp-1']);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Container, Service } from '../kube/objects.ts';
import { coverageOf } from '../workloads/coverage.ts';
import {
  APP,
  coverageInput,
  examplePod as pod,
  exampleService as service,
  TEMPLATE,
} from '../workloads/testing/coverage-objects.ts';
import { injectPod } from './inject-pod.ts';
import { bundleKeyFingerprint } from './injected.ts';
import { ASK, app, argumentsOf, BIND, container, inject, OPTIONS } from './testing/injected-pod.ts';

describe('injectPod: the sidecar', () => {
  test('is the first init container, native, restricted, with its own volumes', () => {
    const injected = inject(pod({}, { initContainers: [{ name: 'init' }], volumes: [{ name: 'data' }] }), [
      service('web', { ...ASK, 'rate-limit-policy': 'standard' }),
    ]);
    const [sidecar] = injected.spec?.initContainers ?? [];
    assert.equal(sidecar?.name, 'portcullis');
    assert.equal(sidecar.restartPolicy, 'Always');
    assert.equal(sidecar.image, TEMPLATE.image);
    assert.deepEqual(sidecar['resources'], TEMPLATE.resources);
    assert.deepEqual(sidecar.securityContext, {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      runAsUser: 64_180,
      runAsGroup: 64_180,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    assert.deepEqual(sidecar.ports, [
      { name: 'http', containerPort: 14_180, protocol: 'TCP' },
      { name: 'portcullis', containerPort: 14_181, protocol: 'TCP' },
    ]);
    const secret = (name: string) => ({
      name,
      secret: {
        secretName: name === 'portcullis-access' ? `${name}-orders` : `${name}-standard`,
        optional: true,
        defaultMode: 0o444,
      },
    });
    const emptyDir = { medium: 'Memory', sizeLimit: '1Mi' };
    assert.deepEqual(injected.spec?.volumes, [
      { name: 'data' },
      secret('portcullis-access'),
      secret('portcullis-limits'),
      { name: 'portcullis-run', emptyDir },
      { name: 'portcullis-no-token', emptyDir },
    ]);
    assert.deepEqual(
      sidecar.volumeMounts?.map(({ name, mountPath, subPath }) => [name, mountPath, subPath]),
      [
        ['portcullis-access', '/etc/portcullis/access', undefined],
        ['portcullis-limits', '/etc/portcullis/limits', undefined],
        ['portcullis-run', '/run/portcullis', undefined],
        ['portcullis-no-token', '/var/run/secrets/kubernetes.io/serviceaccount', undefined],
      ],
    );
    assert.deepEqual(sidecar.lifecycle, {
      postStart: { exec: { command: ['/usr/local/bin/node', '/app/sidecar.mjs', 'wait', '--timeout', '5s'] } },
      preStop: { exec: { command: ['/usr/local/bin/node', '/app/sidecar.mjs', 'drain', '--over', '5s'] } },
    });
  });

  test('is told what it enforces, and where', () => {
    assert.deepEqual(argumentsOf(inject(pod())), {
      namespace: 'shop',
      accessPolicy: 'orders',
      rateLimitPolicy: null,
      issueTokens: false,
      tlsSecret: null,
      bundleKey: 'AAAA',
      minimumSerials: { access: 3, limits: 4, issuer: 0 },
      listeners: [{ listen: { host: '::', port: 14_180 }, upstream: { host: '127.0.0.1', port: 8000 } }],
      admin: { host: '::', port: 14_181 },
      probes: [],
      refuse: [],
    });
  });

  test('with TLS mounts the two keys of the Secret, wherever it comes from', () => {
    const injected = inject(pod({ 'tls-secret': 'orders-tls' }));
    assert.equal(argumentsOf(injected).tlsSecret, 'orders-tls');
    const mount = container(injected, 'portcullis').volumeMounts?.find(({ name }) => name === 'portcullis-tls');
    assert.deepEqual(mount, { name: 'portcullis-tls', mountPath: '/etc/portcullis/tls', readOnly: true });
    const items = ['tls.crt', 'tls.key'].map((key) => ({ key, path: key }));
    assert.deepEqual(
      injected.spec?.volumes?.find(({ name }) => name === 'portcullis-tls'),
      { name: 'portcullis-tls', secret: { secretName: 'orders-tls', optional: true, defaultMode: 0o444, items } },
    );
    assert.equal(container(injected).volumeMounts, undefined, 'the application does not see the key');
    assert.equal(JSON.parse(injected.metadata.annotations?.['portcullis.dev/injected'] ?? '').tlsSecret, 'orders-tls');
  });

  test('mounts what it signs by only where it issues tokens, and the application never', () => {
    const injected = inject(pod({ 'issue-tokens': 'true' }));
    const mount = container(injected, 'portcullis').volumeMounts?.find(({ name }) => name === 'portcullis-issuer');
    assert.deepEqual(mount, { name: 'portcullis-issuer', mountPath: '/etc/portcullis/issuer', readOnly: true });
    const volume = injected.spec?.volumes?.find(({ name }) => name === 'portcullis-issuer');
    assert.deepEqual(volume?.['secret'], {
      secretName: 'portcullis-issuer-orders',
      optional: true,
      defaultMode: 0o444,
    });
    assert.equal(container(injected).volumeMounts, undefined);
    assert.equal(argumentsOf(injected).minimumSerials.issuer, 5);
    assert.doesNotMatch(JSON.stringify(inject(pod({ 'issue-tokens': 'false' }))), /portcullis-issuer/);
  });

  test('is told that it issues tokens', () => {
    assert.equal(argumentsOf(inject(pod({ 'issue-tokens': 'true' }))).issueTokens, true);
  });

  test('in Bind listens on the pod’s own address, of either family, at the application’s port', () => {
    const injected = inject(pod(), [service('web', BIND)]);
    assert.deepEqual(argumentsOf(injected).listeners[0]?.listen, { host: '10.0.0.7', port: 8000 });
    assert.deepEqual(argumentsOf(injected, 'fd00::7').listeners[0]?.listen, { host: 'fd00::7', port: 8000 });
    const sidecar = container(injected, 'portcullis');
    assert.deepEqual(sidecar.env, [
      { name: 'POD_IP', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.podIP' } } },
    ]);
    assert.deepEqual(
      sidecar.ports?.map(({ name }) => name),
      ['portcullis'],
    );
    assert.deepEqual(container(injected).ports, APP.ports);
  });

  test('leaves the pod as it is when it is not covered, or has the sidecar', () => {
    const plain = pod();
    assert.equal(inject(plain, []), plain);
    const injected = inject(plain);
    const again = injectPod(
      injected,
      coverageOf(coverageInput({ pod: plain, services: [service('web', ASK)] })),
      OPTIONS,
    );
    assert.equal(again, injected);
  });

  test('is said in a label and an annotation', () => {
    const { metadata } = inject(pod({ x: 'y' }));
    assert.deepEqual(metadata.labels, { app: 'trading', 'portcullis.dev/injected': 'true' });
    assert.equal(metadata.annotations?.['portcullis.dev/x'], 'y');
    assert.deepEqual(JSON.parse(metadata.annotations?.['portcullis.dev/injected'] ?? ''), {
      accessPolicy: 'orders',
      rateLimitPolicy: null,
      capture: 'Takeover',
      issueTokens: false,
      tlsSecret: null,
      ports: [{ port: 8000, name: 'http', listen: 14_180 }],
      adminPort: 14_181,
      bundleKey: bundleKeyFingerprint('AAAA'),
      image: TEMPLATE.image,
      refuse: [],
    });
  });

  test('with a rate limit policy containers learn where egress is, those that say so themselves excepted', () => {
    const own = [{ name: 'PORTCULLIS_EGRESS', value: 'http://127.0.0.1:1' }];
    const given = pod({}, { containers: [APP, { ...APP, name: 'other', ports: [], env: own }] });
    const limited = inject(given, [service('web', { ...ASK, 'rate-limit-policy': 'standard' })]);
    const environments = (limited.spec?.containers ?? []).map(({ env }) => env);
    assert.deepEqual(environments, [[{ name: 'PORTCULLIS_EGRESS', value: 'http://127.0.0.1:14182' }], own]);
    assert.deepEqual(argumentsOf(limited).egress, { host: '127.0.0.1', port: 14_182 });
    assert.equal('egress' in argumentsOf(inject(given)), false);
  });

  const refusals: readonly [string, readonly Service[]][] = [
    ['Conflicted', [service('web', ASK), service('b', { 'access-policy': 'other' })]],
    ['RequiredSecretMissing', [service('web', { ...ASK, 'required-secrets': 'typo' })]],
    ['NoPorts', [service('web', ASK, [{ port: 80, targetPort: 8000 }])]],
  ];
  for (const [reason, services] of refusals) {
    test(`refuses all traffic: ${reason}`, () => {
      const injected = inject(pod(), services);
      assert.deepEqual(argumentsOf(injected).refuse, [reason]);
      assert.deepEqual(JSON.parse(injected.metadata.annotations?.['portcullis.dev/injected'] ?? '').refuse, [reason]);
    });
  }
});

describe('injectPod: ports', () => {
  test('the name leaves every container, twins and native sidecars too; of other protocols it stays', () => {
    const twin: Container = { name: 'twin', ports: [{ name: 'http', containerPort: 1 }] };
    const udp: Container = { name: 'udp', ports: [{ name: 'http', containerPort: 2, protocol: 'UDP' }] };
    const native: Container = { ...twin, name: 'native', restartPolicy: 'Always' };
    const injected = inject(pod({}, { containers: [APP, twin, udp], initContainers: [native] }));
    assert.deepEqual(container(injected).ports, [{ containerPort: 8000 }]);
    assert.deepEqual(container(injected, 'twin').ports, [{ containerPort: 1 }]);
    assert.deepEqual(container(injected, 'native').ports, [{ containerPort: 1 }]);
    assert.deepEqual(container(injected, 'udp').ports, udp.ports);
  });

  test('further traffic ports pass the admin port, egress and what the pod uses', () => {
    const names = ['a', 'b', 'c', 'd'];
    const ports = names.map((name, index) => ({ name, containerPort: [8000, 8001, 14_183, 8003][index]! }));
    const targets = names.map((targetPort, port) => ({ port: port + 1, targetPort }));
    const { listeners } = argumentsOf(inject(app({ ports }), [service('web', ASK, targets)]));
    assert.deepEqual(
      listeners.map(({ listen }) => listen.port),
      [14_180, 14_184, 14_185, 14_186],
    );
  });

  test('a port of the node moves with the port that it leads to', () => {
    const own = { name: 'http', containerPort: 8000, hostPort: 80 };
    const twin: Container = { name: 'twin', ports: [{ name: 'http', containerPort: 1, hostPort: 81 }] };
    const injected = inject(pod({}, { containers: [{ ...APP, ports: [own] }, twin] }));
    assert.deepEqual(container(injected).ports, [{ containerPort: 8000 }]);
    assert.deepEqual(container(injected, 'twin').ports, [{ containerPort: 1, hostPort: 81 }]);
    assert.equal(container(injected, 'portcullis').ports?.[0]?.hostPort, 80);
  });

  test('in Bind below 1024 the pod lets anybody listen there', () => {
    const low = app({ ports: [{ name: 'http', containerPort: 80 }] });
    const sysctls = [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }];
    assert.deepEqual(inject(low, [service('web', BIND)]).spec?.securityContext, { sysctls });
    const own = { sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '80' }] };
    const spec = { ...low.spec!, securityContext: own };
    assert.equal(inject({ ...low, spec }, [service('web', BIND)]).spec?.securityContext, own);
    assert.equal(inject(low).spec?.securityContext, undefined);
  });
});

describe('injectPod: the application', () => {
  test('sleeps before it stops, and the grace period grows with it', () => {
    const plain = inject(pod());
    assert.deepEqual(container(plain).lifecycle, { preStop: { sleep: { seconds: 5 } } });
    assert.equal(plain.spec?.terminationGracePeriodSeconds, 35);
    assert.equal(inject(pod({}, { terminationGracePeriodSeconds: 60 })).spec?.terminationGracePeriodSeconds, 65);
    const own = inject(app({ lifecycle: { preStop: { exec: {} } } }));
    assert.deepEqual(container(own).lifecycle, { preStop: { exec: {} } });
    assert.equal(own.spec?.terminationGracePeriodSeconds, undefined);
    const off = inject(pod(), undefined, { ...OPTIONS, sidecar: { ...TEMPLATE, appSleepSeconds: 0 } });
    assert.equal(container(off).lifecycle, undefined);
    assert.equal(off.spec?.terminationGracePeriodSeconds, undefined);
  });

  test('bind-env reaches every container, in place of a value of its own', () => {
    const env = [
      { name: 'HOST', value: '0.0.0.0' },
      { name: 'URL', value: 'http://$(HOST)' },
    ];
    const containers: readonly Container[] = [{ ...APP, env }, { name: 'other' }];
    const injected = inject(pod({}, { containers }), [service('web', { ...BIND, 'bind-env': 'HOST' })]);
    assert.deepEqual(container(injected).env, [{ name: 'HOST', value: '127.0.0.1' }, env[1]]);
    assert.deepEqual(container(injected, 'other').env, [{ name: 'HOST', value: '127.0.0.1' }]);
  });
});

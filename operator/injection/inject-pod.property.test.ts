import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseSidecarArguments } from '../../runtime/sidecar-arguments.ts';
import type { Container, ContainerPort, Pod, Probe, Service, ServicePort } from '../kube/objects.ts';
import { type CoverageInput, coverageOf } from '../workloads/coverage.ts';
import { injectionChanges } from '../workloads/coverage-changes.ts';
import {
  coverageInput,
  exampleNamespace,
  examplePod,
  exampleService,
  TEMPLATE,
} from '../workloads/testing/coverage-objects.ts';
import { jsonPatch, type PatchOperation } from './inject-patch.ts';
import { injectPod } from './inject-pod.ts';
import { bundleKeyFingerprint } from './injected.ts';

const RUNS = { numRuns: Number(process.env['FC_RUNS'] ?? 1000) };
const OPTIONS = {
  namespace: 'shop',
  sidecar: TEMPLATE,
  bundleKey: 'AAAA',
  serials: { access: 0, limits: 0, issuer: 0 },
};

const portName = fc.constantFrom('http', 'web', 'grpc', 'metrics');
const portNumber = fc.constantFrom(80, 8000, 8001, 9000, 14_180, 14_183);
const protocol = fc.constantFrom('TCP', 'TCP', 'TCP', 'UDP');
const target = fc.oneof(portName, portNumber);

/** Random members of an object, absent rather than undefined. */
function some<T extends object>(members: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> {
  return fc.record(members, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>;
}

const port: fc.Arbitrary<ContainerPort> = fc
  .tuple(fc.record({ containerPort: portNumber, protocol }), some({ name: portName, hostPort: portNumber }))
  .map(([needed, more]) => ({ ...needed, ...more }));
const probe: fc.Arbitrary<Probe> = fc.oneof(
  target.map((to): Probe => ({ httpGet: { path: '/h', port: to }, periodSeconds: 3 })),
  target.map((to): Probe => ({ tcpSocket: { port: to }, timeoutSeconds: 2 })),
  fc.constant<Probe>({ exec: { command: ['true'] } }),
);
const container = (name: string): fc.Arbitrary<Container> =>
  some({
    // Kubernetes wants a name once a container.
    ports: fc.uniqueArray(port, { maxLength: 3, selector: ({ name: own }) => own ?? Symbol() }),
    env: fc.constantFrom([{ name: 'HOST', value: '0.0.0.0' }], [{ name: 'A', value: 'b' }]),
    volumeMounts: fc.constantFrom([{ name: 'data', mountPath: '/data' }], [{ name: 'data', mountPath: '/tmp' }]),
    readinessProbe: probe,
    livenessProbe: probe,
    startupProbe: probe,
    lifecycle: fc.constantFrom({ preStop: { exec: { command: ['x'] } } }, { postStart: { exec: {} } }),
    securityContext: fc.constantFrom({}, { runAsUser: 1000 }, { privileged: true }, { readOnlyRootFilesystem: false }),
    workingDir: fc.constantFrom('/srv', '/app'),
  }).map((members) => ({ name, image: 'x', ...members }));
const initContainer = (name: string): fc.Arbitrary<Container> =>
  fc.tuple(container(name), fc.boolean()).map(([of, isNative]) => (isNative ? { ...of, restartPolicy: 'Always' } : of));

const pod: fc.Arbitrary<Pod> = fc
  .record({
    containers: fc
      .array(fc.constant(0), { minLength: 1, maxLength: 3 })
      .chain((all) => fc.tuple(...all.map((_, i) => container(`app-${i}`)))),
    more: some({
      initContainers: fc
        .array(fc.constant(0), { maxLength: 2 })
        .chain((all) => fc.tuple(...all.map((_, i) => initContainer(`init-${i}`)))),
      volumes: fc.constant([{ name: 'data', emptyDir: {} }]),
      terminationGracePeriodSeconds: fc.constantFrom(0, 60),
      securityContext: fc.constantFrom({}, { runAsNonRoot: true, fsGroup: 5 }),
      nodeSelector: fc.constant({ a: 'b' }),
    }),
  })
  .map(({ containers, more }) => examplePod({}, { containers, ...more }));

const servicePort: fc.Arbitrary<ServicePort> = fc
  .tuple(
    fc.record({ port: portNumber, protocol }),
    some({ targetPort: target, appProtocol: fc.constantFrom('grpc', 'http') }),
  )
  .map(([needed, more]) => ({ ...needed, ...more }));
const notes = some({
  'access-policy': fc.constantFrom('orders', 'orders', 'orders', 'other'),
  'rate-limit-policy': fc.constant('standard'),
  capture: fc.constantFrom('Takeover', 'Bind', 'Redirect'),
  'bind-env': fc.constant('HOST'),
  harden: fc.constantFrom('Restricted', 'ReadOnly'),
  'skip-ports': fc.constantFrom('9000', 'metrics,web'),
  'required-secrets': fc.constantFrom('a/b', 'typo'),
  inject: fc.constant('false'),
}).map((members) => members as Record<string, string>);
const service: fc.Arbitrary<Service> = fc
  .tuple(notes, fc.array(servicePort, { minLength: 1, maxLength: 3 }), fc.constantFrom('a', 'b', 'c'))
  .map(([members, ports, name]) => exampleService(name, members, ports));

const input: fc.Arbitrary<CoverageInput> = fc
  .record({
    pod,
    services: fc.array(service, { maxLength: 3 }),
    namespace: fc
      .tuple(notes, fc.constantFrom(undefined, 'Required', 'Default'))
      .map(([n, word]) => exampleNamespace(n, word)),
  })
  .map(coverageInput);

/** Runs `check` on pods that are injected, and counts them. */
function forInjected(check: (given: CoverageInput, after: Pod) => void): number {
  let injected = 0;
  fc.assert(
    fc.property(input, (given) => {
      const after = injectPod(given.pod, coverageOf(given), OPTIONS);
      if (after === given.pod) return;
      injected++;
      check(given, after);
    }),
    RUNS,
  );
  return injected;
}

const allContainers = ({ spec }: Pod): readonly Container[] => [
  ...(spec?.initContainers ?? []),
  ...(spec?.containers ?? []),
];

test('an injected pod is left alone, and nothing would be injected otherwise', () => {
  const count = forInjected((given, after) => {
    const again = coverageOf({ ...given, pod: after });
    assert.equal(again.reason, 'AlreadyInjected');
    assert.equal(injectPod(after, again, OPTIONS), after);
    assert.equal(injectPod(after, coverageOf(given), OPTIONS), after);
    const injected = JSON.parse(after.metadata.annotations?.['portcullis.dev/injected'] ?? '');
    assert.deepEqual(injectionChanges({ ...given, pod: after }, injected, bundleKeyFingerprint('AAAA')), []);
  });
  assert.ok(count > RUNS.numRuns / 10, `${count} pods were injected`);
});

test('a name that moved is the sidecar’s alone, every listener is alone at its port, and the arguments can be read', () => {
  forInjected((given, after) => {
    const [sidecar, ...application] = allContainers(after);
    const names = (of: Container): string[] =>
      (of.ports ?? [])
        .filter((each) => each.protocol !== 'UDP')
        .flatMap(({ name }) => (name === undefined ? [] : [name]));
    const own = names(sidecar!);
    assert.equal(new Set(own).size, own.length);
    const routed = application.filter(
      ({ name, restartPolicy }) => name.startsWith('app') || restartPolicy === 'Always',
    );
    for (const name of own) assert.ok(!routed.some((each) => names(each).includes(name)), name);

    const { listeners } = parseSidecarArguments(sidecar!.args!.map((arg) => arg.replace('$(POD_IP)', '10.0.0.7')));
    const taken = listeners.map(({ listen }) => listen.port);
    assert.equal(new Set([...taken, 14_181, 14_182]).size, taken.length + 2);
    const covered = coverageOf(given);
    assert.deepEqual(
      listeners.map(({ upstream }) => upstream.port),
      covered.ports.map(({ port: number }) => number),
    );
  });
});

test('a probe still finds the port that it found, or is forwarded to it', () => {
  forInjected(({ pod: before }, after) => {
    const { probes } = parseSidecarArguments(
      after.spec!.initContainers![0]!.args!.map((arg) => arg.replace('$(POD_IP)', '10.0.0.7')),
    );
    for (const [index, now] of allContainers(after).slice(1).entries()) {
      for (const kind of ['readiness', 'liveness', 'startup'] as const) {
        const found = portOf(allContainers(before)[index]!, kind);
        const forwarded = probes.find((each) => each.container === now.name && each.kind === kind);
        assert.equal(forwarded?.port ?? portOf(now, kind), found);
        if (forwarded) assert.equal(now[`${kind}Probe`]?.httpGet?.path, `/probes/${now.name}/${kind}`);
      }
    }
  });
});

/** The number that a probe asks, as the kubelet finds it; undefined: none. */
function portOf(of: Container, kind: 'readiness' | 'liveness' | 'startup'): number | undefined {
  const probed = of[`${kind}Probe`];
  const to = (probed?.httpGet ?? probed?.tcpSocket)?.port;
  return typeof to === 'string' ? of.ports?.find(({ name }) => name === to)?.containerPort : to;
}

test('no port of the node is lost', () => {
  const hostPorts = (of: Pod): Set<number> =>
    new Set(allContainers(of).flatMap(({ ports = [] }) => ports.flatMap(({ hostPort }) => hostPort ?? [])));
  forInjected(({ pod: before }, after) => assert.deepEqual(hostPorts(after), hostPorts(before)));
});

test('what is not documented is untouched', () => {
  forInjected(({ pod: before, ...given }, after) => {
    const { bindEnv, harden } = coverageOf({ ...given, pod: before }).settings!;
    const old = allContainers(before);
    const application = allContainers(after).slice(1);
    assert.deepEqual(
      application.map(({ name }) => name),
      old.map(({ name }) => name),
    );
    for (const [index, now] of application.entries())
      assert.deepEqual(rest(now, bindEnv, harden), rest(old[index]!, bindEnv, harden));
    const {
      volumes = [],
      containers: _c,
      initContainers: _i,
      terminationGracePeriodSeconds: _g,
      securityContext,
      ...spec
    } = after.spec!;
    const {
      volumes: oldVolumes = [],
      containers: _c2,
      initContainers: _i2,
      terminationGracePeriodSeconds: _g2,
      securityContext: oldContext,
      ...oldSpec
    } = before.spec!;
    assert.deepEqual(spec, oldSpec);
    assert.deepEqual(
      volumes.filter(({ name }) => !name.startsWith('portcullis-')),
      oldVolumes,
    );
    const { sysctls: _s, ...context } = securityContext ?? {};
    assert.deepEqual(context, oldContext ?? {});
  });
});

/** What injection must leave as it is in a container of the application. */
function rest(of: Container, bindEnv: string | null, harden: string | null): object {
  const {
    ports,
    readinessProbe: _r,
    livenessProbe: _l,
    startupProbe: _s,
    lifecycle,
    env = [],
    volumeMounts = [],
    securityContext,
    ...others
  } = of;
  return {
    ...others,
    ports: ports?.map(({ name: _n, hostPort: _h, ...each }) => each),
    env: env.filter(({ name }) => name !== bindEnv && name !== 'PORTCULLIS_EGRESS'),
    volumeMounts: volumeMounts.filter(({ name }) => !name.startsWith('portcullis-')),
    preStop: (lifecycle?.preStop as { sleep?: object } | undefined)?.sleep ? undefined : lifecycle?.preStop,
    postStart: lifecycle?.postStart,
    securityContext: harden === null ? securityContext : (securityContext?.['runAsUser'] ?? null),
  };
}

test('the patch makes the injected pod of the pod that was sent', () => {
  forInjected(({ pod: before }, after) => {
    const plain = (value: object): object => JSON.parse(JSON.stringify(value));
    assert.deepEqual(applied(plain(before), jsonPatch(before, after)), plain(after));
  });
});

/** RFC 6902, as much as `jsonPatch` writes. */
function applied(document: object, patch: readonly PatchOperation[]): object {
  for (const operation of patch) {
    const steps = operation.path
      .split('/')
      .slice(1)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = steps.pop()!;
    const parent = steps.reduce((at, step) => at[step] as Record<string, unknown>, document as Record<string, unknown>);
    if (operation.op !== 'add')
      assert.ok(Object.hasOwn(parent, last), `${operation.op} ${operation.path}: there is none`);
    if (operation.op === 'remove') delete parent[last];
    else parent[last] = JSON.parse(JSON.stringify(operation.value));
  }
  return document;
}

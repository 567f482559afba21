import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type ForwardedProbe,
  type HostPort,
  parseSidecarArguments,
  type SidecarArguments,
  sidecarArgv,
} from './sidecar-arguments.ts';

const example: SidecarArguments = {
  namespace: 'shop',
  accessPolicy: 'orders',
  rateLimitPolicy: 'standard',
  candidates: { accessPolicy: 'orders-next', rateLimitPolicy: 'strict' },
  issueTokens: true,
  bundleKey: 'MCowBQYDK2VwAyEA',
  minimumSerials: { access: 12, limits: 3, issuer: 5 },
  tlsSecret: 'orders-tls',
  listeners: [{ listen: { host: '$(POD_IP)', port: 14180 }, upstream: { host: '127.0.0.1', port: 8000 } }],
  admin: { host: '$(POD_IP)', port: 14181 },
  egress: { host: '127.0.0.1', port: 14182 },
  probes: [
    {
      container: 'app',
      kind: 'readiness',
      timeoutSeconds: 1,
      type: 'http',
      port: 8000,
      path: '/ready?$(POD_IP)=$$',
      scheme: 'HTTP',
      headers: [['host', 'a']],
    },
    { container: 'app', kind: 'liveness', timeoutSeconds: 2, type: 'tcp', port: 8000 },
  ],
  refuse: ['Conflicted'],
};

/** As Kubernetes does it (k8s.io/kubernetes/third_party/forked/golang/expansion). */
function expand(argument: string, variables: Readonly<Record<string, string>>): string {
  return argument.replace(/\$(?:\$|\(([^)]*)\))/g, (found, name: string | undefined) =>
    name === undefined ? '$' : (variables[name] ?? found),
  );
}

describe('sidecarArgv and parseSidecarArguments', () => {
  for (const address of ['10.244.0.7:14182', '0.0.0.0:14182', '[::]:14182', 'localhost:14182']) {
    it(`serves egress on the loopback alone: ${address}`, () => {
      const args = sidecarArgv(example).map((arg) => arg.replaceAll('$(POD_IP)', '10.244.0.7'));
      const changed = args.map((arg) => (arg.startsWith('--egress=') ? `--egress=${address}` : arg));
      assert.throws(() => parseSidecarArguments(changed), /--egress: must be/);
    });
  }

  it('reads well in a pod', () => {
    assert.deepEqual(sidecarArgv({ ...example, probes: example.probes.slice(1) }), [
      'run',
      '--namespace=shop',
      '--access-policy=orders',
      '--rate-limit-policy=standard',
      '--candidate-access-policy=orders-next',
      '--candidate-rate-limit-policy=strict',
      '--issue-tokens=true',
      '--bundle-key=MCowBQYDK2VwAyEA',
      '--minimum-access-serial=12',
      '--minimum-limits-serial=3',
      '--minimum-issuer-serial=5',
      '--tls-secret=orders-tls',
      '--listen=$(POD_IP):14180,upstream=127.0.0.1:8000',
      '--admin=$(POD_IP):14181',
      '--egress=127.0.0.1:14182',
      '--probe={"container":"app","kind":"liveness","timeoutSeconds":2,"type":"tcp","port":8000}',
      '--refuse=Conflicted',
    ]);
  });

  for (const podIp of ['10.244.0.7', 'fd00:10:244::7', '::1']) {
    it(`survives what Kubernetes expands: ${podIp}`, () => {
      const expanded = sidecarArgv(example).map((argument) => expand(argument, { POD_IP: podIp }));
      assert.deepEqual(parseSidecarArguments(expanded), {
        ...example,
        listeners: [{ listen: { host: podIp, port: 14180 }, upstream: { host: '127.0.0.1', port: 8000 } }],
        admin: { host: podIp, port: 14181 },
      });
    });
  }

  it('reads whatever was written (property)', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/);
    const port = fc.integer({ min: 1, max: 65_535 });
    const text = fc.string({ maxLength: 20, unit: 'binary' });
    const address: fc.Arbitrary<HostPort> = fc.record({ host: fc.oneof(fc.ipV4(), fc.ipV6()), port });
    const base = {
      container: name,
      kind: fc.constantFrom('liveness', 'readiness', 'startup'),
      timeoutSeconds: fc.integer({ min: 1, max: 3_600 }),
      port,
    } as const;
    const probe: fc.Arbitrary<ForwardedProbe> = fc.oneof(
      fc.record({ ...base, type: fc.constant('tcp') }),
      fc.record({
        ...base,
        type: fc.constant('http'),
        path: text,
        scheme: fc.constantFrom('HTTP', 'HTTPS'),
        headers: fc.array(fc.tuple(text, text), { maxLength: 3 }),
      }),
    );
    const all: fc.Arbitrary<SidecarArguments> = fc.record({
      namespace: name,
      accessPolicy: name,
      rateLimitPolicy: fc.option(name),
      issueTokens: fc.boolean(),
      tlsSecret: fc.option(name),
      bundleKey: fc.uint8Array({ minLength: 1 }).map((bytes) => Buffer.from(bytes).toString('base64')),
      minimumSerials: fc.record({ access: fc.nat(), limits: fc.nat(), issuer: fc.nat() }),
      listeners: fc.array(fc.record({ listen: address, upstream: address }), { maxLength: 4 }),
      admin: address,
      probes: fc.array(probe, { maxLength: 4 }),
      refuse: fc.array(fc.string({ minLength: 1 }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(all, (args) => {
        const plain: unknown = JSON.parse(JSON.stringify(args)); // fast-check's objects have other prototypes
        const { issueTokens, minimumSerials } = args;
        const issuer = issueTokens ? minimumSerials.issuer : 0; // who issues nothing has nothing to start from
        const expected = { ...(plain as object), minimumSerials: { ...minimumSerials, issuer } };
        assert.deepEqual(parseSidecarArguments(sidecarArgv(args)), JSON.parse(JSON.stringify(expected)));
      }),
    );
  });

  it('says all that is wrong at once', () => {
    const argv = [
      '--listen=a',
      '--admin=$(POD_IP):1',
      '--lisen=b',
      '--probe={"type":"tcp"}',
      '--namespace',
      'x',
      '--bundle-key=!',
    ];
    assert.throws(
      () =>
        parseSidecarArguments(['go', ...argv, '--minimum-access-serial=-1', '--access-policy=a', '--access-policy=b']),
      {
        code: 'config_invalid',
        message: [
          'the command must be run, not "go"',
          'unknown flag --lisen; did you mean listen?',
          '--namespace needs a value: write --namespace=VALUE',
          '"x" belongs to no flag: write --FLAG=VALUE',
          '--namespace is required',
          '--access-policy is given 2 times',
          '--bundle-key: must be base64',
          '--minimum-access-serial: must be a whole number, not "-1"',
          '--listen: must be ADDRESS:PORT,upstream=ADDRESS:PORT, not "a"',
          '--admin: $(POD_IP) was not expanded: the container has no such environment variable',
          '--probe: probe.container: must be present',
        ].join('\n'),
      },
    );
  });

  for (const [flag, value] of [
    ['admin', 'localhost:1'],
    ['admin', '10.0.0.1:65536'],
    ['admin', '10.0.0.1'],
    ['listen', '10.0.0.1:1,upstream=app:8000'],
    ['probe', '{'],
    ['probe', 'null'],
    ['probe', '{"container":"a","kind":"startup","timeoutSeconds":1,"type":"tcp","port":70000}'],
    ['refuse', ''],
    ['issue-tokens', 'yes'],
  ] as const) {
    it(`refuses --${flag}=${value}`, () => {
      const rest = sidecarArgv({ ...example, listeners: [], admin: { host: '::', port: 1 }, probes: [], refuse: [] });
      const kept = rest.filter((argument) => !argument.startsWith(`--${flag}=`));
      assert.throws(() => parseSidecarArguments([...kept, `--${flag}=${value}`]), {
        message: new RegExp(`^--${flag}: [^\n]+$`),
      });
    });
  }
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Container, Probe } from '../kube/objects.ts';
import { exampleService as service } from '../workloads/testing/coverage-objects.ts';
import { ASK, app, argumentsOf, BIND, container, inject } from './testing/injected-pod.ts';

describe('injectPod: probes', () => {
  const get = (port: number | string, more: object = {}): Probe => ({
    httpGet: { path: '/h', port, ...more },
    periodSeconds: 3,
  });
  const admin = (kind: string): Probe => ({
    periodSeconds: 3,
    httpGet: { path: `/probes/app/${kind}`, port: 14_181, scheme: 'HTTP' },
  });
  interface ProbeCase {
    readonly name: string;
    readonly notes: Readonly<Record<string, string>>;
    readonly probes: Partial<Container>;
    readonly rewritten: Partial<Container>;
    /** As `kind type port`. */
    readonly forwarded: readonly string[];
  }
  const all = { readinessProbe: get('http'), livenessProbe: get('http'), startupProbe: get(8000) };
  const cases: readonly ProbeCase[] = [
    {
      name: 'Takeover: readiness goes through the admin port, the others to the number',
      notes: ASK,
      probes: all,
      rewritten: { readinessProbe: admin('readiness'), livenessProbe: get(8000), startupProbe: get(8000) },
      forwarded: ['readiness http 8000'],
    },
    {
      name: 'Bind: all go through the admin port',
      notes: BIND,
      probes: all,
      rewritten: {
        readinessProbe: admin('readiness'),
        livenessProbe: admin('liveness'),
        startupProbe: admin('startup'),
      },
      forwarded: ['liveness http 8000', 'readiness http 8000', 'startup http 8000'],
    },
    {
      name: 'tcpSocket is forwarded too',
      notes: ASK,
      probes: { readinessProbe: { tcpSocket: { port: 'http' }, periodSeconds: 3 } },
      rewritten: { readinessProbe: admin('readiness') },
      forwarded: ['readiness tcp 8000'],
    },
    ...[ASK, BIND].map((notes) => ({
      name: `${JSON.stringify(notes)}: exec, grpc, other ports, other hosts are left`,
      notes,
      probes: {
        readinessProbe: get(9000),
        livenessProbe: { exec: { command: ['true'] } },
        startupProbe: get(8000, { host: '10.1.1.1' }),
      },
      rewritten: {
        readinessProbe: get(9000),
        livenessProbe: { exec: { command: ['true'] } },
        startupProbe: get(8000, { host: '10.1.1.1' }),
      },
      forwarded: [],
    })),
    {
      name: 'Takeover: hooks get the number',
      notes: ASK,
      probes: { lifecycle: { preStop: { httpGet: { path: '/bye', port: 'http' } }, stopSignal: 'SIGINT' } },
      rewritten: { lifecycle: { preStop: { httpGet: { path: '/bye', port: 8000 } }, stopSignal: 'SIGINT' } },
      forwarded: [],
    },
  ];
  for (const row of cases) {
    test(row.name, () => {
      const injected = inject(app({ lifecycle: { preStop: {} }, ...row.probes }), [service('web', row.notes)]);
      const { probes } = argumentsOf(injected);
      for (const [member, value] of Object.entries(row.rewritten))
        assert.deepEqual(container(injected)[member], value, member);
      assert.deepEqual(
        probes.map(({ kind, type, port }) => `${kind} ${type} ${port}`),
        row.forwarded,
      );
    });
  }

  test('all that a probe says is forwarded, dollar signs as they are', () => {
    const httpHeaders = [{ name: 'X-A', value: '$(POD_IP)$$' }];
    const readinessProbe = {
      httpGet: { port: 'http', path: '/$(X)?a=1', scheme: 'HTTPS', httpHeaders },
      timeoutSeconds: 7,
    };
    assert.deepEqual(argumentsOf(inject(app({ readinessProbe }))).probes, [
      {
        container: 'app',
        kind: 'readiness',
        timeoutSeconds: 7,
        type: 'http',
        port: 8000,
        path: '/$(X)?a=1',
        scheme: 'HTTPS',
        headers: [['X-A', '$(POD_IP)$$']],
      },
    ]);
  });
});

import type { Container, ServicePort } from '../kube/objects.ts';
import { type CoverageCase, describeCoverage } from './testing/coverage-case.ts';
import { APP, examplePod as pod, exampleService as service } from './testing/coverage-objects.ts';

const ASK = { 'access-policy': 'orders' };
const asking = service('web', ASK);
const HTTP: ServicePort = { port: 80, targetPort: 'http' };
const NUMERIC: ServicePort = { port: 80, targetPort: 8000 };

const sidecarWithPort: Container = {
  name: 'metrics',
  restartPolicy: 'Always',
  ports: [{ name: 'metrics', containerPort: 9000 }],
};
const grpcPort = (appProtocol: string): ServicePort => ({ port: 90, targetPort: 'rpc', appProtocol });
const twoPorts = pod({}, { containers: [{ ...APP, ports: [...APP.ports!, { name: 'rpc', containerPort: 9090 }] }] });

const ports: readonly CoverageCase[] = [
  {
    name: 'a name is looked up in native sidecars too',
    input: {
      pod: pod({}, { initContainers: [sidecarWithPort] }),
      services: [service('web', ASK, [HTTP, { port: 9000, targetPort: 'metrics' }])],
    },
    ports: ['8000/http', '9000/metrics'],
  },
  {
    name: 'a name that only another protocol has is not found',
    input: {
      pod: pod({}, { containers: [{ ...APP, ports: [{ name: 'http', containerPort: 8000, protocol: 'UDP' }] }] }),
      services: [asking],
    },
    reason: 'NoPorts',
    skipped: ['http PortNotFound'],
    warnings: ['no container has a port named http; write ports: [{name: http, containerPort: NUMBER}]', 'NoPorts'],
  },
  {
    name: 'a numeric targetPort leads past a Takeover',
    input: { services: [service('web', ASK, [NUMERIC])] },
    reason: 'NoPorts',
    ports: [],
    skipped: ['8000 NumericTargetPort'],
    warnings: [
      /^NumericTargetPort: Service web: targetPort 8000 .*ports: \[\{name: http, containerPort: 8000\}\], in the Service targetPort: http; or annotate portcullis\.dev\/capture: Bind/,
      'NoPorts',
    ],
  },
  {
    name: 'no targetPort is a numeric one',
    input: { services: [service('web', ASK, [{ port: 8000 }])] },
    skipped: ['8000 NumericTargetPort'],
  },
  {
    name: 'a numeric targetPort beside a named one is still said',
    input: { services: [asking, service('direct', ASK, [NUMERIC])] },
    reason: null,
    ports: ['8000/http'],
    skipped: ['8000 NumericTargetPort'],
  },
  {
    name: 'Bind takes numbers and names, each port once, headless too',
    input: {
      services: [
        service('web', { ...ASK, capture: 'Bind' }),
        service('headless', {}, [NUMERIC, { port: 7, targetPort: 7000 }], { clusterIP: 'None' }),
        service('asks', ASK, [NUMERIC, { port: 7, targetPort: 7000 }], { clusterIP: 'None' }),
      ],
    },
    reason: null,
    ports: ['8000/http', '7000/'],
    warnings: [],
  },
  {
    name: 'the default capture is the chart’s',
    input: { services: [service('web', ASK, [NUMERIC])], defaultCapture: 'Bind' },
    ports: ['8000/'],
  },
  {
    name: 'a headless Service in Takeover',
    input: { services: [service('web', ASK, [HTTP], { clusterIP: 'None' })] },
    ports: ['8000/http'],
    warnings: ['is headless: who dials'],
  },
  ...['grpc', 'h2c', 'kubernetes.io/h2c', 'tcp'].map((protocol) => ({
    name: `appProtocol ${protocol} is left alone`,
    input: { pod: twoPorts, services: [service('web', ASK, [HTTP, grpcPort(protocol)])] },
    ports: ['8000/http'],
    skipped: ['rpc Protocol'],
    warnings: [],
  })),
  {
    name: 'a Service of grpc only leaves nothing to guard',
    input: { pod: twoPorts, services: [service('web', ASK, [grpcPort('grpc')])] },
    reason: 'NothingToGuard',
    settings: null,
    skipped: ['rpc Protocol', 'http NotTargeted'],
  },
  ...['UDP', 'SCTP'].map((protocol) => ({
    name: `${protocol} is left alone`,
    input: { services: [service('web', ASK, [HTTP, { port: 53, targetPort: 5300, protocol }])] },
    skipped: ['5300 Protocol'],
  })),
  {
    name: 'skip-ports by number and by name',
    input: {
      pod: twoPorts,
      services: [service('web', { ...ASK, 'skip-ports': '9090, metrics' }, [HTTP, { port: 1, targetPort: 'rpc' }])],
    },
    ports: ['8000/http'],
    skipped: ['rpc SkipPorts'],
  },
  {
    name: 'what one Service skips another may guard',
    input: { services: [service('a', { ...ASK, 'skip-ports': 'http' }), service('b', ASK)] },
    ports: ['8000/http'],
    skipped: [],
  },
  {
    name: 'all skipped: nothing to guard',
    input: { services: [service('web', { ...ASK, 'skip-ports': 'http' })] },
    reason: 'NothingToGuard',
  },
  {
    name: 'ports that no Service targets are listed',
    input: { pod: twoPorts, services: [asking] },
    skipped: ['rpc NotTargeted'],
  },
  {
    name: 'an annotated pod without a Service: the TCP ports that it declares',
    input: {
      pod: pod(
        { ...ASK, 'skip-ports': '9000' },
        {
          containers: [
            {
              name: 'app',
              ports: [{ name: 'http', containerPort: 8000 }, { containerPort: 8001 }, { containerPort: 9000 }],
            },
            { name: 'dns', ports: [{ containerPort: 53, protocol: 'UDP' }] },
          ],
        },
      ),
    },
    ports: ['8000/http', '8001/'],
    skipped: ['9000 SkipPorts'],
  },
  {
    name: 'an annotated pod without a Service and without ports',
    input: { pod: pod(ASK, { containers: [{ name: 'app' }] }) },
    reason: 'NoPorts',
    warnings: ['NoPorts'],
  },
];

describeCoverage('ports', ports);

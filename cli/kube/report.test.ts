import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Injected } from '../../operator/injection/injected.ts';
import type { Pod, Service } from '../../operator/kube/objects.ts';
import type { CustomResource } from '../../operator/resources.ts';
import { ANNOTATIONS, LABELS, OWN_ANNOTATIONS, POD_CONDITIONS } from '../../policy/api/names.ts';
import { type ReportInput, reportOf } from './report.ts';
import { table } from './table.ts';

const INJECTED: Injected = {
  accessPolicy: 'orders',
  rateLimitPolicy: null,
  capture: 'Takeover',
  issueTokens: false,
  tlsSecret: null,
  ports: [{ port: 3000, name: 'http', listen: 14180 }],
  adminPort: 14181,
  bundleKey: '0123456789abcdef',
  image: 'sidecar:1',
  refuse: [],
};

const service: Service = {
  metadata: { name: 'web', namespace: 'shop', annotations: { [ANNOTATIONS.accessPolicy]: 'orders' } },
  spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] },
};

function guarded(name: string, conditions: NonNullable<Pod['status']>['conditions'] = []): Pod {
  return {
    metadata: {
      name,
      namespace: 'shop',
      labels: { app: 'web', [LABELS.injected]: 'true' },
      annotations: { [OWN_ANNOTATIONS.injected]: JSON.stringify(INJECTED) },
    },
    spec: {
      containers: [{ name: 'api', ports: [{ containerPort: 3000 }] }],
      initContainers: [{ name: 'portcullis', restartPolicy: 'Always' }],
    },
    status: { phase: 'Running', conditions, initContainerStatuses: [{ name: 'portcullis', state: { running: {} } }] },
  };
}

const plain: Pod = {
  metadata: { name: 'plain', namespace: 'shop', labels: { app: 'web' } },
  spec: { containers: [{ name: 'api', ports: [{ name: 'http', containerPort: 3000 }] }] },
  status: { phase: 'Running' },
};

function policy(reasons: Readonly<Record<string, string>>): CustomResource {
  const conditions = Object.entries(reasons).map(([type, reason]) => ({
    type,
    status: reason === type ? 'True' : 'False',
    reason,
    message: `because ${reason}`,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  })) as NonNullable<CustomResource['status']>['conditions'];
  return {
    metadata: { name: 'orders', namespace: 'shop', generation: 2 },
    spec: { mode: 'Enforce' },
    status: { observedGeneration: 2, ...(conditions && { conditions }) },
  };
}

const good = policy({ Accepted: 'Accepted', Ready: 'Ready', Enforced: 'Enforced' });

function input(change: Partial<ReportInput>): ReportInput {
  return {
    namespace: { metadata: { name: 'shop' } },
    services: [service],
    pods: [],
    accessPolicies: [good],
    rateLimitPolicies: [],
    ...change,
  };
}

test('a pod that enforces and is protected has nothing to say', () => {
  const conditions = Object.values(POD_CONDITIONS).map((type) => ({ type, status: 'True', reason: 'x', message: '' }));
  const [report] = reportOf(input({ pods: [guarded('a', conditions)] }));
  assert.deepEqual(report?.pods, [{ name: 'a', sidecar: 'running', enforced: 'yes', protected: 'yes', why: [] }]);
  assert.deepEqual(
    report?.policies.map(({ state }) => state),
    ['Enforced'],
  );
});

test('conditions that are not True say why', () => {
  const conditions = [
    { type: POD_CONDITIONS.enforced, status: 'True', reason: 'Acknowledged', message: '' },
    { type: POD_CONDITIONS.protected, status: 'False', reason: 'PortOpen', message: 'port 3000 answers' },
  ];
  const [report] = reportOf(input({ pods: [guarded('a', conditions), guarded('b')] }));
  assert.deepEqual(report?.pods[0]?.why, ['PortOpen: port 3000 answers']);
  assert.deepEqual([report?.pods[1]?.enforced, report?.pods[1]?.protected], ['unknown', 'unknown']);
});

test('a pod older than the annotation is to be restarted', () => {
  const [report] = reportOf(input({ pods: [plain] }));
  assert.equal(report?.pods[0]?.sidecar, 'none');
  assert.match(report?.pods[0]?.why[0] ?? '', /restart it: kubectl portcullis protect/);
});

test('a policy that is missing, not seen or not accepted says so', () => {
  const states = [
    [],
    [{ ...good, status: {} }],
    [policy({ Accepted: 'Invalid', Ready: 'Ready', Enforced: 'Enforced' })],
  ].map((accessPolicies) => reportOf(input({ accessPolicies }))[0]?.policies[0]?.state);
  assert.deepEqual(states, ['missing', 'not yet seen', 'Accepted=False Invalid']);
});

test('a Service that asks for nothing and has no guarded pod is left out', () => {
  const quiet = { ...service, metadata: { name: 'quiet', namespace: 'shop' } };
  assert.deepEqual(reportOf(input({ services: [quiet], pods: [plain] })), []);
  assert.equal(reportOf(input({ services: [quiet], pods: [guarded('a')] })).length, 1);
});

test('table: columns stand under each other, without trailing blanks', () => {
  assert.equal(
    table([
      ['a', 'bb', ''],
      ['ccc', 'd', 'e'],
    ]),
    'a    bb\nccc  d   e\n',
  );
});

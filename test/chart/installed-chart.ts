import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import type { ApiServer } from '../cluster/api-server.ts';
import { helmFor } from '../cluster/helm/helm-binary.ts';
import type { CommandResult } from '../cluster/program.ts';
import { apiServerFor, kubectlFor } from '../cluster/require-api-server.ts';
import { type Manifest, NAMESPACE, RELEASE, renderChart } from './rendered-chart.ts';

/** The chart's objects in a real API server; nothing runs there, and the webhooks are not configured yet. */
export interface InstalledChart {
  readonly helm: string;
  readonly server: ApiServer;
  readonly kubectl: NonNullable<ApiServer['kubectl']>;
  readonly manifests: readonly Manifest[];
  /** Those left out: where there is no Service a webhook that is called fails at once, and not after 5 s. */
  readonly webhooks: readonly Manifest[];
  /** Server-side apply with strict validation; throws what kubectl says. */
  apply(objects: readonly object[], ...flags: string[]): Promise<string>;
}

/** The chart with its defaults in an API server of this test's own; undefined, and the test skipped, where helm or it is not to be had. */
export async function installedChart(t: TestContext): Promise<InstalledChart | undefined> {
  const helm = await helmFor(t);
  const server = helm && (await apiServerFor(t));
  const kubectl = server && kubectlFor(t, server);
  if (!helm || !server || !kubectl) return undefined;
  const all = await renderChart(helm);
  const manifests = all.filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] === undefined);
  const isLate = ({ kind }: Manifest): boolean => kind.endsWith('WebhookConfiguration') || kind === 'Service';
  const apply: InstalledChart['apply'] = (objects, ...flags) =>
    succeeds(kubectl(['apply', '--server-side', '--validate=strict', '-f', '-', ...flags], list(objects)));
  await succeeds(kubectl(['create', 'namespace', NAMESPACE]));
  await apply(manifests.filter((manifest) => !isLate(manifest)));
  await apply(manifests.filter(isLate), '--dry-run=server');
  const webhooks = manifests.filter((manifest) => isLate(manifest) && manifest.kind !== 'Service');
  return { helm, server, kubectl, manifests: all, webhooks, apply };
}

/** What connects as the operator: with a token of its ServiceAccount. */
export async function operatorKubeConfig({
  request,
  kubeconfig,
}: ApiServer): Promise<ReturnType<typeof loadKubeConfig>> {
  const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${RELEASE}/token`;
  const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const { body } = await request('POST', path, asked);
  const { token } = (body as { status: { token: string } }).status;
  const config = loadKubeConfig({ path: kubeconfig });
  config.users = config.users.map(({ name }) => ({ name, token }));
  return config;
}

/** A Kubernetes List as JSON. */
export function list(items: readonly object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

/** What a command printed; fails with what it complained of. */
export async function succeeds(running: Promise<CommandResult>): Promise<string> {
  const { code, stdout, stderr } = await running;
  assert.equal(code, 0, stderr.slice(0, 2000));
  return stdout;
}

/** Waits until an attempt fails: admission takes a moment to know of a new configuration. */
export async function untilRefused(attempt: () => Promise<unknown>): Promise<void> {
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; await sleep(100)) {
    try {
      await attempt();
    } catch {
      return;
    }
  }
  throw new Error('nothing was refused for 30 s');
}

import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { loadBundleSigningKey } from '../../operator/bundles/bundle-signing-key.ts';
import { keySetsUsedBy } from '../../operator/bundles/policy-index.ts';
import type { OperatorConfig } from '../../operator/config.ts';
import { connectKubeClient, type HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { KubeMetrics } from '../../operator/kube/kube-metrics.ts';
import { ACCESS_POLICIES, type CustomResource, SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { policyId } from '../../operator/workloads/enforcement.ts';
import { injectedOf } from '../../operator/workloads/pod-view.ts';
import type { ApiServer } from '../../test/cluster/api-server.ts';
import { installCrds } from '../../test/contract/install-crds.ts';
import { freePort } from '../lab.ts';
import { type ClusterObjects, clusterObjects } from './cluster-objects.ts';
import { createNamespaces, fillCluster } from './fill-cluster.ts';
import { increase, type Metrics } from './metrics-text.ts';
import { OperatorProcess, prepareOperator } from './operator-process.ts';
import type { OperatorBenchOptions } from './options.ts';
import { PolicyFollower } from './policy-follower.ts';
import { SimulatedSidecars } from './simulated-sidecars.ts';

type Counts = ReadonlyMap<string, number>;

/** One start of the operator, until it has nothing more to do. Times in ms since its start. */
export interface StartResult {
  readonly readyMs: number;
  /** Since when it sends nothing but what it sends at rest. */
  readonly quietMs: number;
  /** Requests to the API server until then, by method. */
  readonly requests: Counts;
  /** Policies that went from Enforced to not Enforced meanwhile. */
  readonly losses: number;
  /** The longest time that its event loop answered nobody, ms. */
  readonly stallMs: number;
  readonly cpuMs: number;
  readonly metrics: Metrics;
}

/** What a bench found. */
export interface OperatorBenchResult {
  readonly firstStart: StartResult & { readonly allReadyMs: number; readonly allEnforcedMs: number };
  readonly rest: {
    readonly seconds: number;
    readonly requests: Counts;
    readonly cpuMs: number;
    readonly reconciles: Counts;
    readonly losses: number;
    readonly memory: { readonly rss: number; readonly pss: number; readonly peak: number };
  };
  /** ms from sending the edit until every pod's acknowledgement is in the status. */
  readonly edits: readonly {
    readonly what: string;
    readonly pods: number;
    readonly milliseconds: readonly number[];
    /** To the API server, each edit. */
    readonly requests: number;
  }[];
  readonly restart: StartResult & { readonly stopMs: number };
  /** Memory at the end, of the operator that was started again. */
  readonly memory: { readonly rss: number; readonly pss: number; readonly peak: number };
  /** What the operator logged at warning or above, by message. */
  readonly warnings: Counts;
}

/** The bench at work: what its parts share. */
interface Bench {
  readonly client: HttpsKubeClient;
  readonly objects: ClusterObjects;
  readonly follower: PolicyFollower;
  readonly operator: () => OperatorProcess;
  readonly say: (line: string) => void;
}

const REQUESTS = 'rest_client_requests_total';
const QUIET_SECONDS = 3;
/** A Lease is renewed every 2 s; three requests look at certificates every 30 s. */
const QUIET_REQUESTS = 5;
const BETWEEN_EDITS_MS = 1_500;

/** Measures the operator on `server`, which has to be new. Everything that it starts has ended when it resolves or rejects. */
export async function runOperatorBench(
  server: ApiServer,
  options: OperatorBenchOptions,
  say: (line: string) => void,
): Promise<OperatorBenchResult> {
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-operator-bench-'));
  const ends: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
  try {
    await installCrds(server);
    const client = connectKubeClient(loadKubeConfig({ path: server.kubeconfig }), {
      requestsPerSecond: 10_000,
      burst: 10_000,
    });
    ends.push(() => client.close());
    const sidecars = new SimulatedSidecars();
    ends.push(() => sidecars.stop());
    const config = operatorConfig(await sidecars.listen(), await freePort(), await freePort());

    await createNamespaces(client, [config.namespace]);
    const key = await loadBundleSigningKey(client, config.namespace, () => generateKeyPairSync('ed25519').privateKey);
    const objects = clusterObjects(options, config, key.spki);
    await createNamespaces(client, objects.namespaces.map(({ metadata }) => metadata.name).slice(1));
    say(`creating ${options.policies} AccessPolicies, ${options.services} Services, ${options.pods} pods`);
    await fillCluster(client, objects, config.webhook);
    const parts = { client, log: pino({ level: 'silent' }), metrics: new KubeMetrics(new Registry()) };
    await sidecars.follow(parts, key.publicKey);
    const follower = new PolicyFollower(parts);
    ends.push(() => follower.stop());
    await follower.start();

    const process = { config, kubeconfig: server.kubeconfig, directory };
    prepareOperator(process);
    let operator = new OperatorProcess(process);
    ends.push(() => operator.kill());
    const bench: Bench = { client, objects, follower, operator: () => operator, say };

    const firstStart = await measureFirstStart(bench);
    const rest = await measureRest(bench, options.restSeconds);
    const edits = await measureEdits(bench, options.edits);
    say('restart');
    const stopMs = await operator.stop();
    operator = new OperatorProcess(process);
    const restart = { ...(await measureStart(bench)), stopMs };
    const memory = operator.usage();
    const warnings = operator.warnings();
    await operator.stop();
    return { firstStart, rest, edits, restart, memory, warnings };
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

function operatorConfig(adminPort: number, healthPort: number, webhookPort: number): OperatorConfig {
  return {
    namespace: 'portcullis-system',
    podName: 'portcullis-0',
    sidecar: {
      image: 'portcullis-sidecar:0.1.0',
      imagePullPolicy: 'IfNotPresent',
      resources: { requests: { cpu: '50m', memory: '96Mi' }, limits: { memory: '256Mi' } },
      trafficPort: 14_180,
      adminPort,
      egressPort: 14_182,
      userId: 64_180,
      appSleepSeconds: 5,
    },
    defaults: { capture: 'Takeover', storeSecret: null, clientIp: { trustedHops: 0, trustedProxies: [] } },
    webhook: {
      port: webhookPort,
      serviceName: 'portcullis',
      mutatingConfiguration: 'portcullis',
      validatingConfiguration: 'portcullis',
      certificates: 'Own',
      certificateSecret: 'portcullis-webhook',
    },
    healthPort,
    jwks: null,
    leaseName: 'portcullis',
    podPatchesPerSecond: 200,
    evictUnprotected: true,
  };
}

async function measureFirstStart(bench: Bench): Promise<OperatorBenchResult['firstStart']> {
  const { objects, follower, say } = bench;
  const { startedAt } = bench.operator();
  const underPolicy = new Set(objects.pods.map(policyOf));
  say('first start');
  const ready = follower.until('Ready', objects.policies, (standing) => standing.ready);
  const enforced = follower.until('Enforced', objects.policies, ({ enforced: is }, policy) =>
    underPolicy.has(idOf(policy as CustomResource)) ? is === 'True' : is === 'NoMatchingPods',
  );
  const start = measureStart(bench);
  const [readyAt, enforcedAt, measured] = await Promise.all([ready, enforced, start]);
  return { ...measured, allReadyMs: readyAt - startedAt, allEnforcedMs: enforcedAt - startedAt };
}

async function measureStart(bench: Bench): Promise<StartResult> {
  const operator = bench.operator();
  const lossesBefore = bench.follower.losses;
  const readyMs = await operator.untilReady();
  const { quietMs, stallMs, metrics } = await untilQuiet(bench);
  const requests = metrics.by(REQUESTS, 'method');
  const losses = bench.follower.losses - lossesBefore;
  return { readyMs, quietMs, stallMs, requests, losses, cpuMs: operator.usage().cpuMs, metrics };
}

/** Waits until the operator leads and sends nothing but what it sends at rest. */
async function untilQuiet(bench: Bench): Promise<{ quietMs: number; stallMs: number; metrics: Metrics }> {
  const operator = bench.operator();
  let stallMs = 0;
  let quietSince = performance.now();
  for (let last = -1; ; await sleep(1000)) {
    operator.assertRunning();
    const metrics = await operator.metrics();
    stallMs = Math.max(stallMs, metrics.sum('nodejs_eventloop_lag_max_seconds') * 1000);
    const requests = metrics.sum(REQUESTS);
    const leads = metrics.sum('leader_election_master_status') === 1;
    if (!leads || requests - last > QUIET_REQUESTS) quietSince = performance.now();
    last = requests;
    if (performance.now() - quietSince > QUIET_SECONDS * 1000) {
      return { quietMs: quietSince - operator.startedAt, stallMs, metrics };
    }
  }
}

async function measureRest({ operator, follower, say }: Bench, seconds: number): Promise<OperatorBenchResult['rest']> {
  say(`at rest, ${seconds} s`);
  const [before, lossesBefore] = [await operator().metrics(), follower.losses];
  const cpuBefore = operator().usage().cpuMs;
  await sleep(seconds * 1000);
  const { cpuMs, ...memory } = operator().usage();
  const after = await operator().metrics();
  const growth = (name: string, label: string) => increase(after.by(name, label), before.by(name, label));
  return {
    seconds,
    requests: growth(REQUESTS, 'method'),
    cpuMs: cpuMs - cpuBefore,
    reconciles: growth('controller_runtime_reconcile_total', 'controller'),
    losses: follower.losses - lossesBefore,
    memory,
  };
}

async function measureEdits(bench: Bench, count: number): Promise<OperatorBenchResult['edits']> {
  const { objects } = bench;
  const podsOf = (policy: CustomResource): number =>
    objects.pods.filter((pod) => policyOf(pod) === idOf(policy)).length;
  const narrow = objects.policies.find((policy) => policy !== objects.wide && podsOf(policy) > 0) ?? objects.wide;
  const keySet = objects.keySets[0]!;
  const users = objects.policies.filter((policy) => keySetsUsedBy(policy).includes(nameOf(keySet)));
  const repeat = async (what: string, pods: number, edit: (round: number) => Promise<number>) => {
    const milliseconds: number[] = [];
    const before = await untilQuiet(bench);
    for (let round = 0; round < count; round++) {
      milliseconds.push(await edit(round));
      await sleep(BETWEEN_EDITS_MS);
    }
    bench.say(`edit of ${what}: ${milliseconds.map((ms) => ms.toFixed(0)).join(', ')} ms`);
    const after = await untilQuiet(bench);
    const requests = after.metrics.sum(REQUESTS) - before.metrics.sum(REQUESTS);
    return { what, pods, milliseconds, requests: requests / count };
  };
  const usersPods = users.reduce((sum, policy) => sum + podsOf(policy), 0);
  return [
    await repeat('a policy', podsOf(narrow), (round) => editPolicy(bench, narrow, round)),
    await repeat('a policy', podsOf(objects.wide), (round) => editPolicy(bench, objects.wide, round)),
    await repeat(`a key set of ${users.length} policies`, usersPods, (round) =>
      editKeySet(bench, keySet, users, round),
    ),
  ];
}

async function editPolicy({ client, follower }: Bench, policy: CustomResource, round: number): Promise<number> {
  const begun = performance.now();
  const spec = { forward: { identityHeaders: round % 2 === 1 } };
  const { generation } = (await client.patch(ACCESS_POLICIES, policy.metadata, { spec })).metadata;
  const done = await follower.until(
    'the edited policy',
    [policy],
    ({ enforced }, { metadata }) => metadata.generation === generation && enforced === 'True',
  );
  return done - begun;
}

async function editKeySet(
  { client, follower }: Bench,
  keySet: CustomResource,
  users: readonly CustomResource[],
  round: number,
): Promise<number> {
  const before = new Map(users.map((policy) => [idOf(policy), follower.standing(policy).serial]));
  const begun = performance.now();
  await client.patch(SIGNING_KEY_SETS, keySet.metadata, { spec: { audiences: ['trading-api', `edit-${round}`] } });
  const done = await follower.until(
    'the policies of the edited key set',
    users,
    ({ enforced, serial }, policy) => serial > before.get(idOf(policy as CustomResource))! && enforced !== 'No',
  );
  return done - begun;
}

function policyOf(pod: ClusterObjects['pods'][number]): string {
  return policyId({
    kind: 'Access',
    namespace: pod.metadata.namespace ?? '',
    name: injectedOf(pod)?.accessPolicy ?? '',
  });
}

function idOf({ metadata }: CustomResource): string {
  return policyId({ kind: 'Access', namespace: metadata.namespace ?? '', name: metadata.name });
}

function nameOf({ metadata }: CustomResource): string {
  return `${metadata.namespace}/${metadata.name}`;
}

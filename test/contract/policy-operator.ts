import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import {
  FakePods,
  makePolicyWorld,
  type PolicyCaches,
  type PolicyWorld,
} from '../../operator/bundles/testing/policy-world.ts';
import { OPERATOR_NAMESPACE } from '../../operator/bundles/testing/signing-key.ts';
import { startController } from '../../operator/kube/controller.ts';
import { connectKubeClient, type HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import type { Selection } from '../../operator/kube/kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { KubeMetrics } from '../../operator/kube/kube-metrics.ts';
import { CONFIG_MAPS, type KubeObject, NAMESPACES, type ResourceType, SECRETS } from '../../operator/kube/objects.ts';
import { Reflector } from '../../operator/kube/reflector.ts';
import { ACCESS_POLICIES, RATE_LIMIT_POLICIES, SIGNING_KEY_SETS } from '../../operator/resources.ts';
import { LABELS } from '../../policy/api/names.ts';
import type { ApiServer } from '../cluster/api-server.ts';

/** An operator's part that keeps policies, as the API server sees it. */
export interface PolicyOperator {
  readonly world: PolicyWorld;
  readonly caches: PolicyCaches;
  /** Requests so far, watches left out. */
  requests(): number;
}

/** A client of `server` without a limit. */
export const connect = (server: ApiServer): HttpsKubeClient =>
  connectKubeClient(loadKubeConfig({ path: server.kubeconfig }), { requestsPerSecond: 10_000, burst: 10_000 });

/** An operator with reflectors and queues, until the test ends. `skewMs`: how far its clock is off. */
export async function startPolicyOperator(
  t: TestContext,
  server: ApiServer,
  { skewMs = 0, pods = new FakePods() } = {},
): Promise<PolicyOperator> {
  const client = connect(server);
  let requests = 0;
  for (const verb of ['get', 'create', 'replace', 'apply', 'patch', 'delete'] as const) {
    const send = client[verb].bind(client) as (...given: unknown[]) => Promise<unknown>;
    Object.assign(client, {
      [verb]: (...given: unknown[]) => {
        requests++;
        return send(...given);
      },
    });
  }
  const runtime = { client, log: pino({ level: 'silent' }), metrics: new KubeMetrics(new Registry()) };
  const reflectors: { start(): void; whenSynced(): Promise<void>; stop(): Promise<void> }[] = [];
  const reflect = <T extends KubeObject>(type: ResourceType<T>, selection: Selection = {}): Reflector<T> => {
    const reflector = new Reflector({ ...runtime, type, selection });
    reflectors.push(reflector);
    return reflector;
  };
  const caches = {
    accessPolicies: reflect(ACCESS_POLICIES),
    rateLimitPolicies: reflect(RATE_LIMIT_POLICIES),
    keySets: reflect(SIGNING_KEY_SETS),
    ownSecrets: reflect(SECRETS, { namespace: OPERATOR_NAMESPACE }),
    referableSecrets: reflect(SECRETS, { labelSelector: `${LABELS.allowReference}=true` }),
    referableConfigMaps: reflect(CONFIG_MAPS, { labelSelector: `${LABELS.allowReference}=true` }),
    bundles: reflect(SECRETS, { labelSelector: `${LABELS.holds}=bundle` }),
    namespaces: reflect(NAMESPACES),
  };
  const world = await makePolicyWorld(client, caches, { now: () => Date.now() + skewMs, pods });
  for (const reflector of reflectors) reflector.start();
  await Promise.all(reflectors.map((reflector) => reflector.whenSynced()));
  const controllers = {
    Access: startController({ ...runtime, name: 'access-policy', reconcile: world.reconcilers.Access, workers: 4 }),
    Limits: startController({ ...runtime, name: 'rate-limit-policy', reconcile: world.reconcilers.Limits }),
  };
  const end = world.watch((kind, key) => controllers[kind].enqueue(key));
  t.after(async () => {
    end();
    await Promise.all(Object.values(controllers).map((controller) => controller.stop()));
    await Promise.all(reflectors.map((reflector) => reflector.stop()));
    client.close();
  });
  return { world, caches, requests: () => requests };
}

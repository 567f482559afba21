import { once } from 'node:events';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { accessPolicyReconciler } from './access-policies/access-policy-controller.ts';
import { createBundleSerials } from './bundles/bundle-serials.ts';
import type { BundleSigningKey } from './bundles/bundle-signing-key.ts';
import type { ReferenceSources } from './bundles/gather-references.ts';
import { keySetsPermittedTo, watchPolicies } from './bundles/policy-index.ts';
import { createBundlePublisher } from './bundles/publish-bundle.ts';
import { leaderCaches, type sharedCaches, startCaches, stopCaches } from './caches.ts';
import type { OperatorConfig } from './config.ts';
import { CERTIFICATE_TIMES } from './injection/certificates.ts';
import { certificateReconcile } from './injection/certificates-reconcile.ts';
import { bundleKeyFingerprint } from './injection/injected.ts';
import { systemClock } from './kube/clock.ts';
import { type Controller, startController } from './kube/controller.ts';
import type { HttpsKubeClient } from './kube/https-kube-client.ts';
import type { EventRecorder, Reconcile } from './kube/kube-client.ts';
import type { KubeMetrics } from './kube/kube-metrics.ts';
import { rateLimitPolicyReconciler } from './rate-limit-policies/rate-limit-policy-controller.ts';
import { generateKey } from './signing-keys/generate-key.ts';
import type { KeySetMetrics } from './signing-keys/key-set-metrics.ts';
import { signingKeySetController } from './signing-keys/signing-key-set-controller.ts';
import { watchKeySets } from './signing-keys/watch-key-sets.ts';
import { Workloads } from './workloads/workloads.ts';

/** What the leader works with. */
export interface LeaderParts {
  readonly client: HttpsKubeClient;
  readonly config: OperatorConfig;
  readonly shared: ReturnType<typeof sharedCaches>;
  readonly sources: ReferenceSources;
  readonly signingKey: BundleSigningKey;
  readonly events: EventRecorder;
  readonly keySetMetrics: KeySetMetrics;
  readonly log: Logger;
  readonly registry: Registry;
  readonly metrics: KubeMetrics;
}

const POLICY_WORKERS = 4;
const KEY_SET_WORKERS = 4;
/** A pod that does not answer takes 2 s. */
const FIRST_ROUND_MS = 5_000;

/**
 * Everything that one replica does alone. Resolves when its caches are complete and its controllers run, or when `signal` is
 * aborted before; to what stops them.
 */
export async function lead(parts: LeaderParts, signal: AbortSignal): Promise<{ stop(): Promise<void> }> {
  const { client, config, shared, sources, signingKey, events, log, registry, metrics } = parts;
  const caches = leaderCaches(parts);
  await Promise.race([startCaches(caches), once(signal, 'abort')]);
  if (signal.aborted) return { stop: () => stopCaches(caches) };
  const now = (): number => Date.now();
  const controllers: Controller[] = [];
  const ends: (() => void)[] = [];
  const start = (name: string, reconcile: Reconcile, workers: number): Controller => {
    const controller = startController({ name, reconcile, workers, log, metrics });
    controllers.push(controller);
    return controller;
  };

  const workloads = new Workloads({
    client,
    caches: { ...caches, ...shared },
    config,
    bundleKey: bundleKeyFingerprint(signingKey.spki),
    keySetsOf(namespace, name) {
      const policy = shared.accessPolicies.get({ namespace, name });
      return policy === undefined ? [] : keySetsPermittedTo(policy, sources);
    },
    events,
    clock: systemClock,
    random: Math.random,
    log,
    registry,
    metrics,
  });
  await workloads.whenAsked(FIRST_ROUND_MS);
  const publisher = createBundlePublisher({
    client,
    bundles: shared.bundles,
    signingKey,
    serials: createBundleSerials(client, config.namespace, now),
    highestSerial: (policy) => workloads.highestSerial(policy),
  });
  const policyParts = { client, sources, publisher, pods: workloads, events, now };
  const access = start(
    'access-policy',
    accessPolicyReconciler({ ...policyParts, policies: shared.accessPolicies }),
    POLICY_WORKERS,
  );
  const limits = start(
    'rate-limit-policy',
    rateLimitPolicyReconciler({ ...policyParts, policies: shared.rateLimitPolicies }),
    POLICY_WORKERS,
  );
  const keySets = start(
    'signing-key-set',
    signingKeySetController({
      client,
      keySets: shared.keySets,
      operatorNamespace: config.namespace,
      acknowledgements: (keySet) => workloads.acknowledgements(keySet),
      events,
      metrics: parts.keySetMetrics,
      now,
      generateKey,
    }),
    KEY_SET_WORKERS,
  );
  const { bundles } = shared;
  ends.push(
    watchPolicies('Access', { policies: shared.accessPolicies, sources, bundles }, access.enqueue),
    watchPolicies('Limits', { policies: shared.rateLimitPolicies, sources, bundles }, limits.enqueue),
    watchKeySets({ ...shared, exports: caches.keySetExports }, keySets.enqueue),
    workloads.onChange((changed) => {
      for (const policy of changed.policies)
        (policy.kind === 'Limits' ? limits : access).enqueue(`${policy.namespace}/${policy.name}`);
      for (const keySet of changed.keySets) keySets.enqueue(keySet);
    }),
  );
  if (config.webhook.certificates === 'Own') {
    const certificates = start(
      'webhook-certificates',
      certificateReconcile({ client, config, times: CERTIFICATE_TIMES, now }),
      1,
    );
    certificates.enqueue(config.webhook.certificateSecret);
  }

  return {
    async stop() {
      for (const end of ends) end();
      await Promise.all(controllers.map((controller) => controller.stop()));
      await workloads.stop();
      await stopCaches(caches);
    },
  };
}

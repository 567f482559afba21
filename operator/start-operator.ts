import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { loadBundleSigningKey } from './bundles/bundle-signing-key.ts';
import { currentSerials } from './bundles/current-serials.ts';
import { gatherReferences, type ReferenceSources } from './bundles/gather-references.ts';
import { type Reflectors, sharedCaches, startCaches, stopCaches } from './caches.ts';
import type { OperatorConfig } from './config.ts';
import { HealthServer } from './health-server.ts';
import { watchServerCertificate } from './injection/certificates-served.ts';
import { podHandler } from './injection/pod-handler.ts';
import { policyHandler } from './injection/policy-handler.ts';
import { serviceHandler } from './injection/service-handler.ts';
import { WebhookServer } from './injection/webhook-server.ts';
import { JwksServer } from './jwks/jwks-server.ts';
import { KubeEventRecorder } from './kube/events.ts';
import { connectKubeClient } from './kube/https-kube-client.ts';
import type { loadKubeConfig } from './kube/kube-config.ts';
import { KubeMetrics } from './kube/kube-metrics.ts';
import { LeaderElection } from './kube/lease.ts';
import { type LeaderParts, lead } from './lead.ts';
import { KeySetMetrics } from './signing-keys/key-set-metrics.ts';

/** What the operator needs of its process. */
export interface OperatorHost {
  readonly kubeConfig: ReturnType<typeof loadKubeConfig>;
  readonly log: Logger;
  /** Leadership was lost, or leading failed: the process must end, for another is about to lead. */
  readonly onLost: () => void;
}

/** An operator at work. */
export interface RunningOperator {
  readonly healthPort: number;
  readonly webhookPort: number;
  /** Null: no public keys are served. */
  readonly jwksPort: number | null;
  /** Stops what the leader does, gives the Lease back, then answers no more webhooks. */
  stop(): Promise<void>;
}

/** An election's requests are answered quickly or count as failed: half of the time in which the Lease must be renewed. */
const ELECTION_TIMEOUT_MS = 5_000;
/** Within the 4 s that a review may take. */
const REVIEW_TIMEOUT_MS = 3_000;
/** A watch says something every minute; a cache that heard nothing for so long may be wrong. */
const STALE_MS = 300_000;
/** What a leader that stops may still write of its Events. */
const LAST_EVENTS_MS = 2_000;
/** Room beside the patches of pods. */
const OTHER_REQUESTS_PER_SECOND = 50;

/**
 * Starts one replica: follows the cluster, answers webhooks and stands for leader. Resolves when webhooks are answered.
 * Rejects when the API server cannot be reached or a port cannot be had.
 */
export async function startOperator(config: OperatorConfig, host: OperatorHost): Promise<RunningOperator> {
  const { kubeConfig, log } = host;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = new KubeMetrics(registry);
  const requestsPerSecond = config.podPatchesPerSecond + OTHER_REQUESTS_PER_SECOND;
  const client = connectKubeClient(kubeConfig, { metrics, requestsPerSecond, burst: 2 * requestsPerSecond });
  const signingKey = await loadBundleSigningKey(
    client,
    config.namespace,
    () => generateKeyPairSync('ed25519').privateKey,
  );
  const shared = sharedCaches({ client, log, metrics }, config.namespace, signingKey.publicKey);
  const { namespaces, services, keySets, accessPolicies, rateLimitPolicies } = shared;
  const { ownSecrets, referableSecrets, referableConfigMaps } = shared;
  const sources: ReferenceSources = {
    ...{ keySets, ownSecrets, referableSecrets, referableConfigMaps, namespaces },
    ...{ namespace: config.namespace, defaults: config.defaults },
  };
  const events = new KubeEventRecorder({ client, component: 'portcullis', instance: config.podName, log, metrics });

  // A busy leader's requests must not keep reviews waiting.
  const reviewing = connectKubeClient(kubeConfig, { metrics, timeoutMs: REVIEW_TIMEOUT_MS });
  const lookups = { client: reviewing, namespaces, accessPolicies, rateLimitPolicies };
  const webhooks = new WebhookServer({
    registry,
    log,
    handlers: {
      '/mutate-pods': podHandler({
        ...lookups,
        services,
        config,
        bundleKey: signingKey.spki,
        serials: currentSerials(shared.bundles, signingKey.publicKey),
        events,
        registry,
      }),
      '/services': serviceHandler({ ...lookups, config, log }),
      '/validate': policyHandler({ references: ({ metadata }) => gatherReferences(sources, metadata.namespace) }),
    },
  });
  watchServerCertificate(
    ownSecrets,
    { namespace: config.namespace, name: config.webhook.certificateSecret },
    (certificate) => webhooks.use(certificate),
    () => log.error('the webhook certificate cannot be read; the one before serves on'),
  );

  const notReady = (): string[] => [
    ...unready(shared),
    ...(webhooks.hasCertificate ? [] : ['no webhook certificate yet']),
  ];
  const health = new HealthServer({ registry, notReady });
  const healthPort = await health.listen(config.healthPort);

  const jwks = config.jwks && {
    port: config.jwks.port,
    server: new JwksServer({ sources, externalUrl: config.jwks.externalUrl, registry, random: Math.random }),
  };
  const keySetMetrics = new KeySetMetrics(registry, () => Date.now());
  const parts: LeaderParts = {
    client,
    config,
    shared,
    sources,
    signingKey,
    events,
    keySetMetrics,
    log,
    registry,
    metrics,
  };
  const stopping = new AbortController();
  let leading: ReturnType<typeof lead> | null = null;
  const election = new LeaderElection({
    client: connectKubeClient(kubeConfig, { metrics, timeoutMs: ELECTION_TIMEOUT_MS }),
    lease: { namespace: config.namespace, name: config.leaseName },
    identity: `${config.podName}_${randomUUID()}`,
    onLeading() {
      leading = lead(parts, stopping.signal);
      leading.catch((error: unknown) => {
        log.fatal({ err: error }, 'leading failed');
        host.onLost();
      });
    },
    onLost: host.onLost,
    log,
    metrics,
  });

  await startCaches(shared);
  const { port: webhookPort } = await webhooks.listen(undefined, config.webhook.port);
  const jwksPort = jwks && (await jwks.server.listen(jwks.port));
  election.start();
  log.info({ healthPort, webhookPort, jwksPort }, 'operator started');

  return {
    healthPort,
    webhookPort,
    jwksPort,
    async stop() {
      stopping.abort();
      await (await leading)?.stop();
      await election.release();
      await webhooks.stop();
      await jwks?.server.stop();
      await Promise.race([events.flush(), sleep(LAST_EVENTS_MS, undefined, { ref: false })]);
      await stopCaches(shared);
      await health.stop();
      log.info('operator stopped');
    },
  };
}

function unready(caches: Reflectors): string[] {
  return Object.entries(caches).flatMap(([name, { synced, lastContact }]) => {
    if (!synced) return [`${name}: no complete list yet`];
    const silentMs = Date.now() - lastContact;
    return silentMs > STALE_MS
      ? [`${name}: nothing heard from the API server for ${Math.round(silentMs / 1000)} s`]
      : [];
  });
}

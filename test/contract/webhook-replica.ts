import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { gatherReferences } from '../../operator/bundles/gather-references.ts';
import { watchServerCertificate } from '../../operator/injection/certificates-served.ts';
import { podHandler } from '../../operator/injection/pod-handler.ts';
import { policyHandler } from '../../operator/injection/policy-handler.ts';
import { serviceHandler } from '../../operator/injection/service-handler.ts';
import { WEBHOOK_CONFIG } from '../../operator/injection/testing/webhook-config.ts';
import { WebhookServer } from '../../operator/injection/webhook-server.ts';
import { connectKubeClient, type HttpsKubeClient } from '../../operator/kube/https-kube-client.ts';
import { loadKubeConfig } from '../../operator/kube/kube-config.ts';
import { KubeMetrics } from '../../operator/kube/kube-metrics.ts';
import {
  CONFIG_MAPS,
  type KubeObject,
  NAMESPACES,
  type ResourceType,
  SECRETS,
  SERVICES,
} from '../../operator/kube/objects.ts';
import { Reflector } from '../../operator/kube/reflector.ts';
import { ACCESS_POLICIES, RATE_LIMIT_POLICIES, SIGNING_KEY_SETS } from '../../operator/resources.ts';
import type { ApiServer } from '../cluster/api-server.ts';
import { kubectlFor } from '../cluster/require-api-server.ts';
import { installCrds } from './install-crds.ts';
import { webhookConfigurations } from './webhook-configurations.ts';

/** Our certificate is for the Service's names; the API server on this machine knows us by this one. */
export const CONFIG = { ...WEBHOOK_CONFIG, webhook: { ...WEBHOOK_CONFIG.webhook, serviceName: 'localhost' } };
/** The Secret with its certificates. */
export const KEY = { namespace: CONFIG.namespace, name: CONFIG.webhook.certificateSecret };
/** One replica that serves webhooks to an API server. */
export interface World {
  readonly client: HttpsKubeClient;
  readonly server: WebhookServer;
  readonly kubectl: NonNullable<ApiServer['kubectl']>;
  readonly port: number;
  /** Creates an object; what the API server said against it, or null. */
  create(namespace: string, object: object, query?: string): Promise<string | null>;
}

/** Starts one as start-operator wires it, without a certificate so far; undefined where there is no kubectl. */
export async function startWebhooks(t: TestContext, api: ApiServer): Promise<World | undefined> {
  const kubectl = kubectlFor(t, api);
  if (!kubectl) return undefined;
  const kubeConfig = loadKubeConfig({ path: api.kubeconfig });
  const client = connectKubeClient(kubeConfig, { requestsPerSecond: 10_000, burst: 10_000 });
  t.after(() => client.close());
  await installCrds(api);
  for (const name of [CONFIG.namespace, 'shop', 'plain', 'typos', 'dry'])
    await client.create(NAMESPACES, { metadata: { name } });

  const [registry, log] = [new Registry(), pino({ level: 'silent' })];
  const metrics = new KubeMetrics(new Registry());
  const follow = async <T extends KubeObject>(type: ResourceType<T>, namespace?: string) => {
    const reflector = new Reflector({
      client,
      type,
      selection: namespace === undefined ? {} : { namespace },
      log,
      metrics,
    });
    reflector.start();
    t.after(() => reflector.stop());
    await reflector.whenSynced();
    return reflector;
  };
  const [namespaces, ownSecrets] = [await follow(NAMESPACES), await follow(SECRETS, CONFIG.namespace)];
  const [accessPolicies, rateLimitPolicies] = [await follow(ACCESS_POLICIES), await follow(RATE_LIMIT_POLICIES)];
  const [services, keySets] = [await follow(SERVICES), await follow(SIGNING_KEY_SETS)];
  const referableConfigMaps = await follow(CONFIG_MAPS);
  const lookups = { client, namespaces, accessPolicies, rateLimitPolicies };
  const sources = {
    ...{ keySets, ownSecrets, referableSecrets: ownSecrets, referableConfigMaps, namespaces },
    ...{ namespace: CONFIG.namespace, defaults: CONFIG.defaults },
  };
  const serials = () => ({ access: 0, limits: 0, issuer: 0 });
  const injection = {
    config: CONFIG,
    bundleKey: 'MCowBQYDK2VwAyEAAAA',
    serials,
    events: { record: () => {} },
    registry,
  };
  const server = new WebhookServer({
    registry,
    log,
    handlers: {
      '/mutate-pods': podHandler({ ...lookups, services, ...injection }),
      '/services': serviceHandler({ ...lookups, config: CONFIG, log }),
      '/validate': policyHandler({ references: ({ metadata }) => gatherReferences(sources, metadata.namespace) }),
    },
  });
  const never = () => assert.fail('damaged certificate');
  t.after(watchServerCertificate(ownSecrets, KEY, (certificate) => server.use(certificate), never));
  const { port } = await server.listen('127.0.0.1', 0);
  t.after(() => server.stop());
  for (const configuration of webhookConfigurations(`https://localhost:${port}`)) {
    const { kind } = configuration as { kind: string };
    const path = `/apis/admissionregistration.k8s.io/v1/${kind.toLowerCase()}s`;
    assert.equal((await api.request('POST', path, configuration)).status, 201);
  }
  const create: World['create'] = async (namespace, object, query = '') => {
    const { apiVersion, kind } = object as { apiVersion: string; kind: string };
    const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
    const plural = kind.endsWith('y') ? `${kind.slice(0, -1)}ies` : `${kind}s`;
    const path = `${root}/namespaces/${namespace}/${plural.toLowerCase()}${query}`;
    const { status, body } = await api.request('POST', path, object);
    return status === 201 ? null : String((body as { message?: unknown }).message ?? body);
  };
  return { client, server, kubectl, port, create };
}

import { PortcullisError } from '../../policy/errors.ts';
import type { OperatorConfig } from '../config.ts';
import { type KubeClient, KubeError, type Reconcile } from '../kube/kube-client.ts';
import { type KubeObject, type ResourceType, SECRETS } from '../kube/objects.ts';
import {
  authorityBundle,
  type CertificateState,
  type CertificateStep,
  type CertificateTimes,
  planCertificates,
  withLeaf,
} from './certificates.ts';
import { certificateSecret, isCertificateSecret, readCertificates } from './certificates-secret.ts';
import { makeAuthority, makeLeaf } from './certificates-x509.ts';

/** What the leader keeps the webhooks' certificates with. */
export interface CertificateReconcileOptions {
  readonly client: Pick<KubeClient, 'get' | 'create' | 'replace' | 'patch'>;
  readonly config: Pick<OperatorConfig, 'namespace' | 'webhook'>;
  readonly times: CertificateTimes;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** admissionregistration.k8s.io/v1 MutatingWebhookConfiguration and ValidatingWebhookConfiguration, as much as is patched. */
export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly { readonly name: string; readonly clientConfig: { readonly caBundle?: string } }[];
}

/** The two kinds of webhook configurations. */
export const MUTATING = configurations('MutatingWebhookConfiguration', 'mutatingwebhookconfigurations');
export const VALIDATING = configurations('ValidatingWebhookConfiguration', 'validatingwebhookconfigurations');

const NONE: CertificateState = { authorities: [], leaf: null };

/** A chart creates its webhook configurations after its pods. */
const MISSING_MS = 1_000;
/** More effects than any pass needs; past it another writer undoes them. */
const MAX_EFFECTS = 10;

/** The names under which API servers and others in the cluster reach the webhook Service. */
export function webhookDnsNames({ namespace, webhook }: Pick<OperatorConfig, 'namespace' | 'webhook'>): string[] {
  const name = webhook.serviceName;
  return [name, `${name}.${namespace}`, `${name}.${namespace}.svc`, `${name}.${namespace}.svc.cluster.local`];
}

/**
 * The leader's work on its own certificates (whatever the key): keeps them in their Secret and their authorities in both
 * webhook configurations, where nothing else is changed. Safe beside another leader: writes are by resourceVersion. Throws
 * KubeError, and `config_invalid` when another's Secret is in the way.
 */
export function certificateReconcile({ client, config, times, now }: CertificateReconcileOptions): Reconcile {
  const key = { namespace: config.namespace, name: config.webhook.certificateSecret };
  const dnsNames = webhookDnsNames(config);
  // Kept in memory on purpose: a new leader waits again, which is never wrong.
  let seen: { readonly caBundle: string; readonly since: number } | null = null;

  // The configurations are read before the Secret, and patched only as they were then: a leader that was held up in between
  // cannot put an older bundle over a newer one.
  const readConfigurations = () =>
    Promise.all([
      client.get(MUTATING, { name: config.webhook.mutatingConfiguration }),
      client.get(VALIDATING, { name: config.webhook.validatingConfiguration }),
    ]);

  return async () => {
    for (let effects = 0; effects < MAX_EFFECTS; effects++) {
      const configurations = await readConfigurations();
      const secret = await client.get(SECRETS, key);
      if (secret !== null && !isCertificateSecret(secret)) {
        throw new PortcullisError(
          'config_invalid',
          `Secret ${key.namespace}/${key.name} is not one of Portcullis: remove it, or give webhook.certificateSecret another name`,
        );
      }
      const state = secret === null ? NONE : readCertificates(secret);
      const caBundle = Buffer.from(authorityBundle(state)).toString('base64');
      const [mutating, validating] = configurations.map((configuration) => patchOf(configuration, caBundle));
      const at = now();
      if (mutating || validating) seen = null;
      else if (seen?.caBundle !== caBundle) seen = { caBundle, since: at };
      const step = planCertificates(state, dnsNames, seen?.since ?? null, at, times);
      switch (step.kind) {
        case 'Wait':
          return { afterMs: configurations.includes(null) ? MISSING_MS : times.checkMs };
        case 'Publish':
          if (mutating) await unlessRaced(client.patch(MUTATING, mutating.metadata, mutating, { strategic: true }));
          if (validating)
            await unlessRaced(client.patch(VALIDATING, validating.metadata, validating, { strategic: true }));
          break;
        default: {
          const next = certificateSecret(key, await applied(state, step, dnsNames, at, times), secret);
          await unlessRaced(secret === null ? client.create(SECRETS, next) : client.replace(SECRETS, next));
        }
      }
    }
    return { afterMs: MISSING_MS };
  };
}

/** What makes the API server trust `caBundle` for each of its webhooks, if it is still as it was read; null: it does already. */
function patchOf(configuration: WebhookConfiguration | null, caBundle: string) {
  const { metadata, webhooks = [] } = configuration ?? {};
  const outdated = webhooks.filter(({ clientConfig }) => clientConfig.caBundle !== caBundle);
  if (metadata === undefined || outdated.length === 0) return null;
  const { name, resourceVersion } = metadata;
  return {
    metadata: { name, resourceVersion },
    webhooks: outdated.map((webhook) => ({ name: webhook.name, clientConfig: { caBundle } })),
  };
}

async function applied(
  state: CertificateState,
  step: Exclude<CertificateStep, { kind: 'Wait' | 'Publish' }>,
  dnsNames: readonly string[],
  now: number,
  times: CertificateTimes,
): Promise<CertificateState> {
  switch (step.kind) {
    case 'AddAuthority':
      return { ...state, authorities: [...state.authorities, await makeAuthority(now, times)] };
    case 'IssueLeaf':
      return withLeaf(state, await makeLeaf(step.signer, dnsNames, now, times));
    case 'DropAuthorities':
      return { ...state, authorities: step.kept };
  }
}

async function unlessRaced(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!(error instanceof KubeError && (error.reason === 'Conflict' || error.reason === 'AlreadyExists'))) throw error;
  }
}

function configurations(kind: string, plural: string): ResourceType<WebhookConfiguration> {
  return { apiVersion: 'admissionregistration.k8s.io/v1', kind, plural, namespaced: false };
}

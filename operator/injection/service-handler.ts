import type { Logger } from 'pino';
import { ANNOTATIONS, LABELS } from '../../policy/api/names.ts';
import type { OperatorConfig } from '../config.ts';
import type { KubeClient } from '../kube/kube-client.ts';
import { NAMESPACES, type Namespace, type Service } from '../kube/objects.ts';
import { hasCertManager, NO_CERT_MANAGER } from '../workloads/certificate-keeper.ts';
import { serviceWarnings } from '../workloads/coverage-services.ts';
import { needsGuard } from '../workloads/guard.ts';
import type { AdmissionHandler } from './review.ts';
import { within } from './review-deadline.ts';
import { findNamespace, isExempt, missingPolicyWarnings, type ReviewLookups } from './review-lookups.ts';

/** What Services are reviewed with. */
export interface ServiceHandlerOptions extends ReviewLookups {
  readonly client: Pick<KubeClient, 'get' | 'list' | 'patch'>;
  readonly config: Pick<OperatorConfig, 'namespace' | 'defaults'>;
  readonly log: Logger;
}

const LABEL_MS = 2_000;

/**
 * /services: as soon as a Service asks for protection its namespace is labelled, so that the pods of a Deployment applied in the
 * same breath go through the injector; and says what is wrong with the Service. Refuses none.
 */
export function serviceHandler(options: ServiceHandlerOptions): AdmissionHandler {
  const { config } = options;
  return async ({ kind, namespace: name, object, dryRun }) => {
    const isService = kind.group === '' && kind.kind === 'Service' && object !== null;
    if (!isService || isExempt(name, config)) return { allowed: true };
    const service = object as Service;
    const namespace = await findNamespace(options, name);
    if (namespace === null || service.metadata.deletionTimestamp !== undefined) return { allowed: true };
    const warnings = serviceWarnings(service, namespace, config.defaults.capture);
    const { annotations = {} } = service.metadata;
    const accessPolicy = annotations[ANNOTATIONS.accessPolicy] ?? null;
    const rateLimitPolicy = annotations[ANNOTATIONS.rateLimitPolicy] ?? null;
    const candidates = {
      accessPolicy: annotations[ANNOTATIONS.candidateAccessPolicy] ?? null,
      rateLimitPolicy: annotations[ANNOTATIONS.candidateRateLimitPolicy] ?? null,
    };
    warnings.push(...(await missingPolicyWarnings(options, name, { accessPolicy, rateLimitPolicy, candidates })));
    if (annotations[ANNOTATIONS.tlsIssuer] !== undefined && !(await hasCertManager(options.client, name)))
      warnings.push(NO_CERT_MANAGER);
    if (needsGuard(namespace, [service]) && !dryRun && !(await guard(options, namespace))) {
      warnings.push(
        `namespace ${name} could not be labelled ${LABELS.guarded}=true in time: pods created in the next seconds may start without a sidecar`,
      );
    }
    return { allowed: true, warnings };
  };
}

/** Whether the namespace's pods go through the injector from now on. */
async function guard({ client, log }: ServiceHandlerOptions, { metadata }: Namespace): Promise<boolean> {
  const { name, labels } = metadata;
  if (labels?.[LABELS.guarded] === 'true') return true;
  const labelled = client.patch(NAMESPACES, { name }, { metadata: { labels: { [LABELS.guarded]: 'true' } } }).then(
    () => true,
    (error: unknown) => {
      log.error({ namespace: name, err: error }, 'namespace not labelled');
      return false;
    },
  );
  return within(LABEL_MS, labelled, () => false);
}

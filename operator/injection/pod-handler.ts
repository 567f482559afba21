import { Counter, type Registry } from 'prom-client';
import type { OperatorConfig } from '../config.ts';
import { type EventRecorder, KubeError, type ObjectCache } from '../kube/kube-client.ts';
import { type Pod, SECRETS, SERVICES, type Service } from '../kube/objects.ts';
import { type Coverage, type CoverageInput, coverageOf } from '../workloads/coverage.ts';
import { selects } from '../workloads/coverage-ports.ts';
import { jsonPatch } from './inject-patch.ts';
import { type InjectionOptions, injectPod } from './inject-pod.ts';
import type { AdmissionAnswer, AdmissionHandler, AdmissionRequest } from './review.ts';
import { findNamespace, isExempt, missingPolicyWarnings, type ReviewLookups } from './review-lookups.ts';

/** What pods are reviewed with. */
export interface PodHandlerOptions extends ReviewLookups {
  readonly services: ObjectCache<Service>;
  readonly config: Pick<OperatorConfig, 'namespace' | 'sidecar' | 'defaults'>;
  /** Ed25519 key of the writer of bundles: SPKI DER in base64. */
  readonly bundleKey: string;
  /** Serials of the policies' bundles now; 0: there is none yet. */
  readonly serials: (namespace: string, access: string, limits: string | null) => InjectionOptions['serials'];
  readonly events: EventRecorder;
  readonly registry: Registry;
}

/** Pods reviewed, by what became of them. */
export function injectionsCounter(registry: Registry): Counter<'outcome'> {
  return new Counter({
    name: 'portcullis_injections_total',
    help: 'Pods reviewed, by outcome: Injected, Denied, or the reason of docs/injection.md for which one is left alone or refuses all traffic.',
    labelNames: ['outcome'],
    registers: [registry],
  });
}

/** More are not looked up: then it is not known whether they are there. */
const MAX_REQUIRED_SECRETS = 16;

/**
 * /mutate-pods: puts the sidecar into pods that are to be guarded. A Service that was created a moment ago is found by asking
 * the API server when the cache shows no reason to guard the pod. Rejects when what decides cannot be read.
 */
export function podHandler(options: PodHandlerOptions): AdmissionHandler {
  const { config, bundleKey, serials, registry } = options;
  const outcomes = injectionsCounter(registry);

  return async (request) => {
    const { kind, operation, namespace: name, object, dryRun } = request;
    const isPod = kind.group === '' && kind.kind === 'Pod' && operation === 'CREATE';
    if (!isPod || isExempt(name, config)) return { allowed: true };
    const pod = object as Pod;
    const coverage = await decide(options, name, pod);
    if (!dryRun) {
      outcomes.inc({ outcome: coverage.deny ? 'Denied' : (coverage.reason ?? 'Injected') });
      report(options.events, request, coverage);
    }
    const { settings, warnings, deny } = coverage;
    if (deny) return denied(coverage);
    if (settings === null) return { allowed: true, warnings };
    const { accessPolicy, rateLimitPolicy } = settings;
    const injected = injectPod(pod, coverage, {
      namespace: name,
      sidecar: config.sidecar,
      bundleKey,
      serials: serials(name, accessPolicy, rateLimitPolicy),
    });
    const missing = await missingPolicyWarnings(options, name, settings);
    return { allowed: true, warnings: [...missing, ...warnings], patch: jsonPatch(pod, injected) };
  };
}

async function decide(options: PodHandlerOptions, name: string, pod: Pod): Promise<Coverage> {
  const { client, services } = options;
  const namespace = await findNamespace(options, name);
  if (namespace === null) throw new KubeError(404, 'NotFound', `there is no namespace ${name}`);
  const input = (given: readonly Service[]): CoverageInput => ({
    pod,
    namespace,
    services: given,
    defaultCapture: options.config.defaults.capture,
    hasSecretKey: () => null,
  });
  let found = input([...services.inNamespace(name)]);
  const isSure = services.synced && found.services.some((service) => selects(service, pod));
  if (!isSure || coverageOf(found).reason === 'NotAsked')
    found = input((await client.list(SERVICES, { namespace: name })).items);
  return coverageOf({ ...found, hasSecretKey: await secretKeys(options, name, found) });
}

/** Which of the Secrets' keys that coverage asks for exist. */
async function secretKeys(
  { client }: PodHandlerOptions,
  namespace: string,
  input: CoverageInput,
): Promise<CoverageInput['hasSecretKey']> {
  const asked = new Set<string>();
  coverageOf({
    ...input,
    hasSecretKey: (secret) => {
      if (asked.size < MAX_REQUIRED_SECRETS) asked.add(secret);
      return null;
    },
  });
  const read = async (name: string) => [name, (await client.get(SECRETS, { namespace, name }))?.data ?? {}] as const;
  const data = new Map(await Promise.all([...asked].map(read)));
  return (secret, key) => {
    const keys = data.get(secret);
    return keys === undefined ? null : Object.hasOwn(keys, key);
  };
}

function denied({ warnings: [because = 'refused', ...others] }: Coverage): AdmissionAnswer {
  return { allowed: false, message: because, warnings: others };
}

/** People see their Deployment, not the pods that never came to be. */
function report(events: EventRecorder, { namespace, object }: AdmissionRequest, coverage: Coverage): void {
  const { reason, deny, settings, warnings } = coverage;
  const isNews = deny || reason === 'HostNetwork' || (settings !== null && reason !== null);
  const owner = (object as Pod).metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (!isNews || reason === null || owner === undefined) return;
  const { apiVersion, kind, name, uid } = owner;
  const message = warnings.find((warning) => warning.startsWith(`${reason}:`)) ?? warnings[0] ?? reason;
  events.record({ about: { apiVersion, kind, metadata: { namespace, name, uid } }, type: 'Warning', reason, message });
}

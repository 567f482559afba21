import { isDeepStrictEqual } from 'node:util';
import type { Gauge } from 'prom-client';
import type { OperatorConfig } from '../config.ts';
import type { Clock } from '../kube/clock.ts';
import {
  type EventRecorder,
  type KubeClient,
  KubeError,
  type ObjectCache,
  type Reconcile,
  type Requeue,
} from '../kube/kube-client.ts';
import { type KubeObject, type Namespace, type Pod, SECRETS, type Secret, type Service } from '../kube/objects.ts';
import { auditPod, type Finding, withoutSidecar } from './auditor-finding.ts';
import { type CoverageInput, coverageOf } from './coverage.ts';
import { type PolicyKey, policyId } from './enforcement.ts';
import { injectedOf, isEnding, nameOf } from './pod-view.ts';
import { controllerOf, createRestarter, isRestartable, ownerFinder, restartCommand } from './rollout.ts';

/** What the auditor works with. */
export interface AuditorParts {
  readonly client: Pick<KubeClient, 'get' | 'patch' | 'evict'>;
  readonly pods: ObjectCache<Pod>;
  readonly namespaces: ObjectCache<Namespace>;
  readonly services: ObjectCache<Service>;
  readonly accessPolicies: ObjectCache<KubeObject>;
  readonly rateLimitPolicies: ObjectCache<KubeObject>;
  readonly config: Pick<OperatorConfig, 'defaults' | 'evictUnprotected'>;
  /** Fingerprint of the key that signs bundles. */
  readonly bundleKey: string;
  readonly events: EventRecorder;
  readonly clock: Clock;
  /** portcullis_pods_unprotected. */
  readonly unprotected: Gauge<'namespace'>;
  /** Namespaces whose pods are never injected. */
  readonly excluded: ReadonlySet<string>;
  /** Called when something else is wrong with a pod than before; `policies`: those that it concerns. */
  readonly onChange: (pod: Pod | undefined, policies: readonly PolicyKey[]) => void;
}

const YOUNG_MS = 60_000;
/** What is applied together arrives in any order: the injector may have seen a Service or a policy before our caches show it. */
const SETTLE_MS = 5_000;
const EVICTION_RETRY_MS = 5_000;
/** Events end after an hour; what stands is said again before. */
const REPEAT_MS = 30 * 60_000;
/** Kinds that make another pod for one that is evicted, without counting it as a failure. */
const REPLACES_EVICTED = new Set(['ReplicaSet', 'StatefulSet', 'DaemonSet', 'ReplicationController']);
const MAX_REMEMBERED = 5_000;
/** As admission has it: of more it is not known whether they are there. */
const MAX_REQUIRED_SECRETS = 16;

/** Finds pods that run without the protection that is asked for, and does about it what is allowed. */
export class Auditor {
  readonly #parts: AuditorParts;
  readonly #ownerOf: (pod: Pod) => Promise<KubeObject>;
  readonly #restart: ReturnType<typeof createRestarter>;
  /** By pod. */
  readonly #findings = new Map<string, Finding>();
  readonly #unprotected = new Map<string, number>();
  /** Pods by the policies that only a restart brings them under. */
  readonly #waiting = new Map<string, Set<string>>();
  /** By controller: the creation time of the newest pod that may be evicted; what came later went past the webhook again. */
  readonly #evictUntil = new Map<string, number>();

  constructor(parts: AuditorParts) {
    this.#parts = parts;
    this.#ownerOf = ownerFinder(parts.client);
    this.#restart = createRestarter(parts.client, parts.clock);
  }

  /** What is wrong with the pod of that `namespace/name`; undefined: nothing. */
  finding(pod: string): Finding | undefined {
    return this.#findings.get(pod);
  }

  /** Pods that only a restart brings under a policy, each with why. */
  restartRequired(policy: PolicyKey): readonly string[] {
    const pods = [...(this.#waiting.get(policyId(policy)) ?? [])];
    return pods.map((pod) => `${pod.slice(pod.indexOf('/') + 1)}: ${this.#findings.get(pod)?.message}`);
  }

  /** Looks at one pod, by key `namespace/name`. */
  readonly reconcile: Reconcile = async (key) => {
    const pod = this.#pod(key);
    if (pod === undefined || isEnding(pod)) {
      this.#remember(key, undefined, null);
      return { afterMs: null };
    }
    const finding = await this.#judge(pod);
    const youngMs = this.#parts.clock.epoch() - Date.parse(pod.metadata.creationTimestamp ?? '');
    if (finding && finding.kind !== 'Unprotected' && youngMs < SETTLE_MS) {
      return { afterMs: Math.min(SETTLE_MS - youngMs, SETTLE_MS) };
    }
    this.#remember(key, pod, finding);
    // A Secret that a pod refuses traffic for is looked for, not watched.
    if (finding === null) return { afterMs: refusesForSecret(pod) ? YOUNG_MS : null };
    return (await this.#evict(pod, finding)) ?? this.#report(pod, finding);
  };

  #pod(key: string): Pod | undefined {
    const [namespace = '', name = ''] = key.split('/');
    return this.#parts.excluded.has(namespace) ? undefined : this.#parts.pods.get({ namespace, name });
  }

  async #judge(pod: Pod): Promise<Finding | null> {
    const { namespaces, services, accessPolicies, rateLimitPolicies, config, bundleKey } = this.#parts;
    const name = pod.metadata.namespace ?? '';
    const namespace = namespaces.get({ name });
    if (namespace === undefined) return null;
    const injected = injectedOf(pod);
    const input: CoverageInput = {
      pod,
      namespace,
      services: [...services.inNamespace(name)],
      defaultCapture: config.defaults.capture,
      hasSecretKey: () => null,
    };
    const names = (cache: ObjectCache<KubeObject>) =>
      Array.from(cache.inNamespace(name), ({ metadata }) => metadata.name);
    return auditPod({
      ...input,
      hasSecretKey: refusesForSecret(pod) ? await this.#secretsOf(input) : () => null,
      injected,
      bundleKey,
      policyNames: { access: names(accessPolicies), limits: names(rateLimitPolicies) },
    });
  }

  /** Which of the Secrets that a refusing pod requires are there by now; Secrets are not watched for this. */
  async #secretsOf(input: CoverageInput): Promise<CoverageInput['hasSecretKey']> {
    const { settings } = coverageOf({ ...input, pod: withoutSidecar(input.pod) });
    const names = new Set((settings?.requiredSecrets ?? []).flatMap(({ secret, key }) => (key === '' ? [] : [secret])));
    const data = new Map<string, Secret['data']>();
    for (const name of [...names].slice(0, MAX_REQUIRED_SECRETS))
      data.set(name, (await this.#parts.client.get(SECRETS, keyOf(input.pod, name)))?.data);
    return (secret, key) => (data.has(secret) || !names.has(secret) ? data.get(secret)?.[key] !== undefined : null);
  }

  #remember(key: string, pod: Pod | undefined, finding: Finding | null): void {
    const before = this.#findings.get(key);
    if (finding === null) this.#findings.delete(key);
    else this.#findings.set(key, finding);
    if (isDeepStrictEqual(before, finding ?? undefined)) return;

    const namespace = key.slice(0, key.indexOf('/'));
    const change = Number(finding?.kind === 'Unprotected') - Number(before?.kind === 'Unprotected');
    if (change !== 0) {
      const count = (this.#unprotected.get(namespace) ?? 0) + change;
      this.#unprotected.set(namespace, count);
      this.#parts.unprotected.set({ namespace }, count);
    }
    for (const policy of before?.restart?.policies ?? []) {
      const pods = this.#waiting.get(policyId(policy));
      pods?.delete(key);
      if (pods?.size === 0) this.#waiting.delete(policyId(policy));
    }
    for (const policy of finding?.restart?.policies ?? []) {
      const pods = this.#waiting.get(policyId(policy)) ?? new Set();
      this.#waiting.set(policyId(policy), pods.add(key));
    }
    this.#parts.onChange(pod, [...(before?.restart?.policies ?? []), ...(finding?.restart?.policies ?? [])]);
  }

  /** Evicts a young pod that went past the webhook; null: it is not to be evicted. */
  async #evict(pod: Pod, { kind, restart }: Finding): Promise<Requeue | null> {
    const { config, client, clock, events } = this.#parts;
    const controller = controllerOf(pod);
    const created = Date.parse(pod.metadata.creationTimestamp ?? '');
    if (kind !== 'Unprotected' || restart === null || !config.evictUnprotected) return null;
    if (!controller || !REPLACES_EVICTED.has(controller.kind ?? '') || !(clock.epoch() - created < YOUNG_MS))
      return null;
    if (created > this.#evictableUntil(controller, pod)) return null;
    try {
      await client.evict(keyOf(pod, pod.metadata.name));
    } catch (error) {
      // A PodDisruptionBudget forbids it now.
      if (error instanceof KubeError && error.reason === 'TooManyRequests') {
        return { afterMs: Math.max(error.retryAfterMs ?? 0, EVICTION_RETRY_MS) };
      }
      if (error instanceof KubeError && error.reason === 'NotFound') return { afterMs: null };
      throw error;
    }
    const message = 'pods that had just been created without the sidecar were evicted, so that new ones get it';
    events.record({ about: await this.#ownerOf(pod), type: 'Normal', reason: 'UnprotectedEvicted', message });
    return { afterMs: null };
  }

  /** Pods of a controller that were there when the first was evicted may go; if their successors have no sidecar either, evicting never ends. */
  #evictableUntil(controller: KubeObject, pod: Pod): number {
    const { uid = '' } = controller.metadata;
    const known = this.#evictUntil.get(uid);
    if (known !== undefined) return known;
    const siblings = [...this.#parts.pods.inNamespace(pod.metadata.namespace ?? '')].filter(
      (other) => controllerOf(other)?.metadata.uid === uid,
    );
    const until = Math.max(
      ...[pod, ...siblings].map(({ metadata }) => Date.parse(metadata.creationTimestamp ?? '') || 0),
    );
    if (this.#evictUntil.size >= MAX_REMEMBERED) this.#evictUntil.clear();
    this.#evictUntil.set(uid, until);
    return until;
  }

  async #report(pod: Pod, finding: Finding): Promise<Requeue> {
    const about = await this.#ownerOf(pod);
    const { restart } = finding;
    let advice = restart === null ? '' : `: ${restartCommand(about)}`;
    if (restart?.rollout === 'Auto' && isRestartable(about.kind)) {
      const result = await this.#restart(about, pod, restart.wanted);
      if ('laterMs' in result) return { afterMs: result.laterMs };
      if (result.outcome === 'Rolling') return { afterMs: YOUNG_MS };
      if (result.outcome === 'Restarted') {
        const message = `restarted, as portcullis.dev/rollout: Auto asks: a pod ${finding.message}`;
        this.#parts.events.record({ about, type: 'Normal', reason: 'RolloutRestarted', message });
        return { afterMs: YOUNG_MS };
      }
      advice = '; a restart did not help: see the Events of its ReplicaSets and the log of the operator';
    }
    const reason = finding.kind === 'Unprotected' ? 'NotInjected' : finding.kind;
    const subject = finding.kind === 'RestartRequired' ? 'pods have to be restarted: ' : 'a pod ';
    const message = `${finding.kind === 'PolicyNotFound' ? '' : subject}${finding.message}${advice}`;
    this.#parts.events.record({ about, type: 'Warning', reason, message });
    return { afterMs: REPEAT_MS };
  }
}

function refusesForSecret(pod: Pod): boolean {
  return injectedOf(pod)?.refuse.includes('RequiredSecretMissing') ?? false;
}

function keyOf(pod: Pod, name: string): { namespace: string; name: string } {
  return { namespace: pod.metadata.namespace ?? '', name };
}

/** Whether something about a pod changed that the auditor looks at. */
export function isAuditChange(now: Pod | undefined, before: Pod | undefined): boolean {
  if (now === undefined || before === undefined || nameOf(now) !== nameOf(before)) return true;
  const parts = ({ metadata, status }: Pod) =>
    JSON.stringify([metadata.uid, metadata.labels, metadata.annotations, metadata.deletionTimestamp, status?.phase]);
  return parts(now) !== parts(before);
}

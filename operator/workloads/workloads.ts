import type { Logger } from 'pino';
import { Gauge, type Registry } from 'prom-client';
import { POD_CONDITIONS } from '../../policy/api/names.ts';
import type { Acknowledgement } from '../../policy/keys/step.ts';
import type { OperatorConfig } from '../config.ts';
import type { Clock } from '../kube/clock.ts';
import { type Controller, startController } from '../kube/controller.ts';
import type { EventRecorder, KubeClient, ObjectCache, Reconcile } from '../kube/kube-client.ts';
import type { KubeMetrics } from '../kube/kube-metrics.ts';
import type { KubeObject, Namespace, Node, Pod, Service } from '../kube/objects.ts';
import { type FetchStatus, httpStatusFetcher } from './acknowledgement-fetch.ts';
import { touchIsDue } from './acknowledgement-rounds.ts';
import { Acknowledgements, type ChangedPicture } from './acknowledgements.ts';
import { Auditor, isAuditChange } from './auditor.ts';
import { createCertificateKeeper } from './certificate-keeper.ts';
import { selects } from './coverage-ports.ts';
import {
  type Enforcement,
  type ExpectedBundle,
  enforcementOf,
  isJudged,
  isOnlyTried,
  type PolicyKey,
  podEnforcement,
  policyId,
  staleJwksOf,
  standingOf,
  standingToBoth,
  whyNotReady,
} from './enforcement.ts';
import { createGuard } from './guard.ts';
import type { NetworkPolicy } from './network-policies.ts';
import { createNetworkPolicyKeeper } from './network-policy-keeper.ts';
import type { InjectedPod } from './pod-index.ts';
import { nameOf } from './pod-view.ts';
import { type Dial, dialTcp, Protection, type ProtectionSummary } from './protection.ts';
import { createPodPatcher, type PodPatcher } from './touch.ts';

/** What is known of the cluster; each cache complete (`synced`) before `Workloads` begins. */
export interface WorkloadCaches {
  /** Kept by `podView`. */
  readonly pods: ObjectCache<Pod>;
  readonly nodes: ObjectCache<Node>;
  readonly namespaces: ObjectCache<Namespace>;
  readonly services: ObjectCache<Service>;
  readonly networkPolicies: ObjectCache<NetworkPolicy>;
  readonly accessPolicies: ObjectCache<KubeObject>;
  readonly rateLimitPolicies: ObjectCache<KubeObject>;
}

/** What `Workloads` works with. */
export interface WorkloadParts {
  readonly client: KubeClient;
  readonly caches: WorkloadCaches;
  readonly config: Pick<OperatorConfig, 'namespace' | 'defaults' | 'podPatchesPerSecond' | 'evictUnprotected'>;
  /** Fingerprint of the key that signs bundles (`bundleKeyFingerprint`). */
  readonly bundleKey: string;
  /** `namespace/name` of the key sets whose keys an AccessPolicy verifies with. */
  readonly keySetsOf: (namespace: string, accessPolicy: string) => readonly string[];
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly registry: Registry;
  readonly metrics: KubeMetrics;
  /** Default: HTTP to the pod's address. */
  readonly fetch?: FetchStatus;
  /** Default: TCP from the operator's pod. */
  readonly dial?: Dial;
}

/** Pods that nothing guards though something asks for it. */
export function unprotectedGauge(registry: Registry): Gauge<'namespace'> {
  const name = 'portcullis_pods_unprotected';
  const help = 'Pods that run without the sidecar although it is asked for.';
  return new Gauge({ name, help, labelNames: ['namespace'], registers: [registry] });
}

/** The kubelet gets a bundle to a pod within this; only who takes longer is called a laggard in its pod's condition. */
const LAGGARD_MS = 5_000;

/** The running pods of a cluster, seen by the leader: who enforces what, who is not protected, and what is done about it. Begins at once. */
export class Workloads {
  readonly #parts: WorkloadParts;
  readonly #listeners = new Set<(changed: ChangedPicture) => void>();
  readonly #fetcher = httpStatusFetcher();
  readonly #acknowledgements: Acknowledgements;
  readonly #patcher: PodPatcher;
  readonly #auditor: Auditor;
  readonly #protection: Protection;
  readonly #controllers: Readonly<
    Record<'guard' | 'audit' | 'protect' | 'networkPolicies' | 'certificates', Controller>
  >;
  readonly #unsubscribe: (() => void)[] = [];
  /** Touches of pods by the bundle they were for. */
  readonly #touches = new WeakMap<InjectedPod, { bundles: string; count: number }>();

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
    const { client, caches, config, events, clock, random, log, registry } = parts;
    const excluded = new Set([config.namespace, 'kube-system']);
    const unprotected = unprotectedGauge(registry);

    this.#patcher = createPodPatcher({
      client,
      clock,
      perSecond: config.podPatchesPerSecond,
      isTouchNeeded: (pod) => this.#isAwaited(nameOf(pod)),
      onFault: (pod, error) => log.warn({ pod, err: error }, 'a pod could not be patched'),
    });
    this.#auditor = new Auditor({
      ...{ client, config, events, clock, unprotected, excluded, bundleKey: parts.bundleKey },
      ...caches,
      onChange: (pod, policies) => {
        this.#tell({ policies, keySets: [] });
        const injected = pod && this.#acknowledgements.pod(nameOf(pod));
        if (injected) this.#sayEnforced(injected);
      },
    });
    this.#protection = new Protection({
      pod: (pod) => this.#acknowledgements.pod(pod),
      podsOf: (policy) => this.#acknowledgements.podsOf(policy),
      dial: parts.dial ?? dialTcp,
      random,
      onFound: (pod, condition) => {
        this.#patcher.setCondition(pod.pod, condition);
        this.#tell({ policies: pod.policies, keySets: [] });
      },
    });
    this.#controllers = {
      guard: this.#start('namespace-guard', createGuard({ client, ...caches, clock, excluded })),
      audit: this.#start('pod-auditor', this.#auditor.reconcile),
      protect: this.#start('pod-protection', this.#protection.reconcile, 16),
      networkPolicies: this.#start('network-policies', createNetworkPolicyKeeper({ client, ...caches, events })),
      certificates: this.#start('certificates', createCertificateKeeper({ client, ...caches, events, excluded })),
    };
    this.#acknowledgements = new Acknowledgements({
      ...{ clock, random, pods: caches.pods, nodes: caches.nodes, keySetsOf: parts.keySetsOf },
      fetch: parts.fetch ?? this.#fetcher.fetch,
      onAsked: (pod) => this.#asked(pod),
      onChange: (changed) => this.#tell(changed),
      onFault: (pod, error) => log.error({ pod, err: error }, 'the answer of a pod could not be used'),
    });
    this.#subscribe();
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#acknowledgements.stop();
    this.#patcher.stop();
    this.#fetcher.close();
    await Promise.all(Object.values(this.#controllers).map((controller) => controller.stop()));
  }

  /** Resolves when every pod has been asked once, or after `ms` milliseconds: what is said before would take back what is true. */
  whenAsked(ms: number): Promise<void> {
    return this.#acknowledgements.whenAsked(ms);
  }

  /** Calls on every change of what is known of the pods of policies and key sets; returns what unsubscribes. */
  onChange(listener: (changed: ChangedPicture) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Says which bundle a policy's pods are to run, after each look at it: what is new is asked for at once, and pods that lag
   * behind are touched so that their kubelets look.
   */
  expect(policy: PolicyKey, bundle: ExpectedBundle): void {
    this.#acknowledgements.expect(policy, bundle);
  }

  /** Forgets a policy that is gone. */
  forget(policy: PolicyKey): void {
    this.#acknowledgements.forget(policy);
  }

  /** What the pods of a policy do about its bundle, and those that issue tokens about the one they sign by; null: there is none. */
  enforcement(policy: PolicyKey, bundle: ExpectedBundle, issuer: ExpectedBundle | null = null): Enforcement {
    const counted = [...this.#acknowledgements.podsOf(policy)].filter((pod) => pod.counted);
    const standings = counted.map(({ pod, injected, status, silent }) => {
      const access = standingOf(policy, bundle, status, silent);
      const isCandidate = isOnlyTried(policy, injected);
      const signs = issuer !== null && injected.issueTokens && !isCandidate;
      const issuing = signs ? standingOf({ ...policy, kind: 'Issuer' }, issuer, status, silent) : null;
      return { name: pod.metadata.name, standing: standingToBoth(access, issuing), isCandidate };
    });
    return { ...enforcementOf(standings, this.#auditor.restartRequired(policy)), ...staleJwksOf(policy, counted) };
  }

  /** For the planner of keys: one entry for each counted pod whose policy uses the key set (`namespace/name`). */
  acknowledgements(keySet: string): readonly Acknowledgement[] {
    return this.#acknowledgements.of(keySet);
  }

  /** The highest serial of a policy's bundle that any pod says it runs; 0: none. */
  highestSerial(policy: PolicyKey): number {
    return this.#acknowledgements.highestSerial(policy);
  }

  /** Whether the apps of a policy's pods can be reached past the sidecar. */
  protection(policy: PolicyKey): ProtectionSummary {
    return this.#protection.summary(policy);
  }

  #start(name: string, reconcile: Reconcile, workers = 1): Controller {
    const { log, metrics, clock } = this.#parts;
    return startController({ name, reconcile, workers, log, metrics, clock });
  }

  #tell(changed: ChangedPicture): void {
    for (const listener of this.#listeners) listener(changed);
  }

  #subscribe(): void {
    const { pods, namespaces, services, networkPolicies, accessPolicies, rateLimitPolicies } = this.#parts.caches;
    const { guard, audit, protect, networkPolicies: keeper, certificates } = this.#controllers;
    this.#unsubscribe.push(
      pods.onChange((now, before) => {
        const pod = (now ?? before)!;
        if (isAuditChange(now, before)) {
          audit.enqueue(nameOf(pod));
          keeper.enqueue(pod.metadata.namespace ?? '');
        }
        if (now && isReady(now) && !(before && isReady(before))) protect.enqueue(nameOf(now));
      }),
      namespaces.onChange((now, before) => {
        const { name } = (now ?? before)!.metadata;
        guard.enqueue(name);
        keeper.enqueue(name);
        certificates.enqueue(name);
        if (now && !isSameAsked(now, before)) for (const pod of pods.inNamespace(name)) audit.enqueue(nameOf(pod));
      }),
      services.onChange((now, before) => {
        const namespace = (now ?? before)!.metadata.namespace ?? '';
        guard.enqueue(namespace);
        keeper.enqueue(namespace);
        certificates.enqueue(namespace);
        for (const pod of pods.inNamespace(namespace)) {
          if ((now && selects(now, pod)) || (before && selects(before, pod))) audit.enqueue(nameOf(pod));
        }
      }),
      networkPolicies.onChange((now, before) => keeper.enqueue((now ?? before)!.metadata.namespace ?? '')),
      this.#onPolicies(accessPolicies, 'Access'),
      this.#onPolicies(rateLimitPolicies, 'Limits'),
    );
    for (const pod of pods.all()) {
      audit.enqueue(nameOf(pod));
      protect.enqueue(nameOf(pod));
    }
    for (const { metadata } of namespaces.all()) {
      guard.enqueue(metadata.name);
      keeper.enqueue(metadata.name);
      certificates.enqueue(metadata.name);
    }
  }

  /** A policy that appears or goes changes what is wrong with the pods that name it. */
  #onPolicies(policies: ObjectCache<KubeObject>, kind: PolicyKey['kind']): () => void {
    return policies.onChange((now, before) => {
      if (now && before) return;
      const { namespace = '', name } = (now ?? before)!.metadata;
      for (const { name: pod } of this.#acknowledgements.podsOf({ kind, namespace, name })) {
        this.#controllers.audit.enqueue(pod);
      }
    });
  }

  #asked(pod: InjectedPod): void {
    const lagging = pod.policies.flatMap((policy) => {
      const found = this.#acknowledgements.standing(pod, policy);
      return found && found.standing.kind !== 'Current' ? [{ policy, ...found }] : [];
    });
    if (lagging.length > 0) {
      const bundles = lagging.map(({ policy, serial }) => `${policyId(policy)} ${serial}`).join();
      const awaitedForMs = Math.min(...lagging.map(({ awaitedForMs: ms }) => ms));
      const before = this.#touches.get(pod);
      const count = before === undefined || before.bundles !== bundles ? 0 : before.count;
      if (touchIsDue(count, awaitedForMs)) {
        this.#touches.set(pod, { bundles, count: count + 1 });
        this.#patcher.touch(pod.pod);
      }
    }
    this.#sayEnforced(pod);
    if (this.#protection.isDue(pod)) this.#controllers.protect.enqueue(pod.name);
  }

  #isAwaited(name: string): boolean {
    const pod = this.#acknowledgements.pod(name);
    return (
      pod?.policies.some((policy) => {
        const found = this.#acknowledgements.standing(pod, policy);
        // A policy that is only tried may never come.
        if (found === null) return policy.kind !== 'Issuer' && !isOnlyTried(policy, pod.injected);
        return found.standing.kind !== 'Current';
      }) ?? false
    );
  }

  /** Sets the pod's condition Enforced; a pod that only just began to lag behind keeps what it has. */
  #sayEnforced(pod: InjectedPod): void {
    const finding = this.#auditor.finding(pod.name);
    const enforced = pod.policies.filter((policy) => !isOnlyTried(policy, pod.injected));
    const standings = enforced.flatMap((policy) => {
      const found = this.#acknowledgements.standing(pod, policy);
      return found ? [{ policy, ...found }] : [];
    });
    const notReady = whyNotReady(pod.status, pod.silent);
    const isKnown = isJudged(enforced, standings) || notReady !== null;
    const lags = notReady === null ? ['Waiting'] : ['Waiting', 'Current'];
    const isFresh = standings.some(({ standing, awaitedForMs: ms }) => lags.includes(standing.kind) && ms < LAGGARD_MS);
    if (finding === undefined && (!isKnown || isFresh)) return;
    const found = podEnforcement(standings, notReady, finding);
    this.#patcher.setCondition(pod.pod, { type: POD_CONDITIONS.enforced, ...found });
  }
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

function isSameAsked(now: KubeObject, before: KubeObject | undefined): boolean {
  const asked = ({ metadata }: KubeObject) => JSON.stringify([metadata.labels, metadata.annotations]);
  return before !== undefined && asked(now) === asked(before);
}

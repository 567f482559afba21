import { LABELS, outputsSecretName } from '../../../policy/api/names.ts';
import type { KeySetOutputs } from '../../../policy/keys/outputs.ts';
import { encodeOutputs } from '../../../policy/keys/outputs-document.ts';
import { accessPolicyReconciler } from '../../access-policies/access-policy-controller.ts';
import type { EventRecord, EventRecorder, KubeClient, ObjectCache, Reconcile } from '../../kube/kube-client.ts';
import type { ConfigMap, Namespace, Secret } from '../../kube/objects.ts';
import { rateLimitPolicyReconciler } from '../../rate-limit-policies/rate-limit-policy-controller.ts';
import type { CustomResource } from '../../resources.ts';
import { OUTPUTS_FILE } from '../../signing-keys/secret-key-set-store.ts';
import {
  type ExpectedBundle,
  enforcementOf,
  type PolicyBundleKind,
  type PolicyKey,
  policyId,
  type Standing,
} from '../../workloads/enforcement.ts';
import { createBundleSerials } from '../bundle-serials.ts';
import { watchPolicies } from '../policy-index.ts';
import { createBundlePublisher } from '../publish-bundle.ts';
import type { PolicyPods } from '../reconcile-policy.ts';
import { OPERATOR_NAMESPACE, testSigningKey } from './signing-key.ts';

/** The caches that both policy controllers work with. */
export interface PolicyCaches {
  readonly accessPolicies: ObjectCache<CustomResource>;
  readonly rateLimitPolicies: ObjectCache<CustomResource>;
  readonly keySets: ObjectCache<CustomResource>;
  readonly ownSecrets: ObjectCache<Secret>;
  readonly referableSecrets: ObjectCache<Secret>;
  readonly referableConfigMaps: ObjectCache<ConfigMap>;
  readonly bundles: ObjectCache<Secret>;
  readonly namespaces: ObjectCache<Namespace>;
}

/** Pods that load a bundle when they are told to. */
export class FakePods implements PolicyPods {
  readonly expected = new Map<string, ExpectedBundle>();
  readonly #loaded = new Map<string, Map<string, ExpectedBundle | null>>();

  /** Runs pods of a policy that have loaded nothing yet. */
  run(policy: PolicyKey, ...names: string[]): void {
    this.#loaded.set(policyId(policy), new Map(names.map((name) => [name, null])));
  }

  /** Has a pod load what is expected. */
  load(policy: PolicyKey, name: string): void {
    this.#loaded.get(policyId(policy))?.set(name, this.expected.get(policyId(policy)) ?? null);
  }

  highestSerial(policy: PolicyKey): number {
    const serials = [...(this.#loaded.get(policyId(policy))?.values() ?? [])].map((loaded) => loaded?.serial ?? 0);
    return Math.max(0, ...serials);
  }

  enforcement(policy: PolicyKey, { serial, hash }: ExpectedBundle) {
    const standingOf = (loaded: ExpectedBundle | null): Standing =>
      loaded?.serial === serial && loaded.hash === hash
        ? { kind: 'Current' }
        : { kind: 'Waiting', detail: 'has another' };
    const pods = Array.from(this.#loaded.get(policyId(policy)) ?? [], ([name, loaded]) => {
      return { name, standing: standingOf(loaded) };
    });
    return enforcementOf(pods, []);
  }

  expect(policy: PolicyKey, bundle: ExpectedBundle): void {
    this.expected.set(policyId(policy), bundle);
  }

  forget(policy: PolicyKey): void {
    this.expected.delete(policyId(policy));
  }
}

/** Both policy controllers of one operator, without their queues. */
export interface PolicyWorld {
  readonly pods: FakePods;
  readonly events: EventRecord[];
  readonly reconcilers: Readonly<Record<PolicyBundleKind, Reconcile>>;
  /** Calls `enqueue` with what is to be reconciled, now and later; returns what ends that. */
  watch(enqueue: (kind: PolicyBundleKind, key: string) => void): () => void;
}

/** Makes both controllers on `caches`. */
export async function makePolicyWorld(
  client: KubeClient,
  caches: PolicyCaches,
  options: { readonly storeSecret?: string; readonly now?: () => number; readonly pods?: FakePods } = {},
): Promise<PolicyWorld> {
  const { storeSecret = null, now = Date.now, pods = new FakePods() } = options;
  const { bundles } = caches;
  const events: EventRecord[] = [];
  const clientIp = { trustedHops: 0, trustedProxies: [] };
  const sources = { ...caches, namespace: OPERATOR_NAMESPACE, defaults: { storeSecret, clientIp } };
  const serials = createBundleSerials(client, OPERATOR_NAMESPACE, now);
  const signingKey = await testSigningKey(client);
  const highestSerial = (policy: PolicyKey): number => pods.highestSerial(policy);
  const publisher = createBundlePublisher({ client, bundles, signingKey, serials, highestSerial });
  const recorder: EventRecorder = { record: (event) => void events.push(event) };
  const parts = { client, sources, publisher, pods, events: recorder, now };
  const policies = { Access: caches.accessPolicies, Limits: caches.rateLimitPolicies };
  return {
    pods,
    events,
    reconcilers: {
      Access: accessPolicyReconciler({ ...parts, policies: policies.Access }),
      Limits: rateLimitPolicyReconciler({ ...parts, policies: policies.Limits }),
    },
    watch(enqueue) {
      const ends = (['Access', 'Limits'] as const).map((kind) =>
        watchPolicies(kind, { policies: policies[kind], sources, bundles }, (key) => enqueue(kind, key)),
      );
      return () => {
        for (const end of ends) end();
      };
    },
  };
}

/** The outputs of a key set, as the operator keeps them. */
export function outputsSecret(namespace: string, name: string, serial: number): Secret {
  const algorithm = 'ES256' as const;
  const jwk = { kty: 'EC', crv: 'P-256', x: `x-${serial}`, y: 'y' };
  const kid = `kid-${serial}`;
  const outputs: KeySetOutputs = {
    serial,
    verificationKeys: [{ kid, algorithm, jwk }],
    jwks: null,
    issuing: { kid, algorithm, privateJwk: { d: 'private' }, maxTokenLifetimeMs: 3_600_000 },
    fernet: null,
  };
  const data = { [OUTPUTS_FILE]: Buffer.from(encodeOutputs(outputs)).toString('base64') };
  const labels = { [LABELS.holds]: 'key-set-outputs' };
  return { metadata: { namespace: OPERATOR_NAMESPACE, name: outputsSecretName(namespace, name), labels }, data };
}

/** A condition's status, reason and message; undefined: there is no such condition. */
export function conditionOf(object: CustomResource | null | undefined, type: string): string[] | undefined {
  const found = object?.status?.conditions?.find((condition) => condition.type === type);
  return found && [found.status, found.reason, found.message];
}

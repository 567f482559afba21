import type { ReferencedSecret } from '../../policy/compile/references.ts';
import type { EventRecorder, KubeClient, ObjectCache, Reconcile } from '../kube/kube-client.ts';
import { type ResourceType, SECRETS } from '../kube/objects.ts';
import type { CommonStatus, CustomResource } from '../resources.ts';
import { type FoundStatus, writeStatus } from '../status/conditions.ts';
import {
  type Enforcement,
  type ExpectedBundle,
  POLICY_KINDS,
  type PolicyBundleKind,
  type PolicyKey,
} from '../workloads/enforcement.ts';
import { bundleSecretKey } from './bundle-secret.ts';
import { compileAndPublish } from './compile-and-publish.ts';
import { defaultStore, gatherReferences, type ReferenceSources, resourceIn } from './gather-references.ts';
import { objectKeyOf, secretsUsedBy } from './policy-index.ts';
import { findingLines, type PolicyPicture, policyStatus } from './policy-status.ts';
import type { BundlePublisher } from './publish-bundle.ts';

/** What running pods do about the bundles of policies. */
export interface PolicyPods {
  /** How the counted pods of a policy stand to its bundle and, where they issue tokens, to the one they sign by; null: there is none. */
  enforcement(policy: PolicyKey, bundle: ExpectedBundle, issuer: ExpectedBundle | null): Enforcement;
  /** Called when the status says that this bundle is awaited; again for the same one does nothing. */
  expect(policy: PolicyKey, bundle: ExpectedBundle): void;
  /** Called when the policy is gone. */
  forget(policy: PolicyKey): void;
}

/** What both policy controllers work with. */
export interface PolicyControllerParts {
  readonly client: Pick<KubeClient, 'get' | 'apply'>;
  /** Policies of the one kind. */
  readonly policies: ObjectCache<CustomResource>;
  readonly sources: ReferenceSources;
  readonly publisher: BundlePublisher;
  readonly pods: PolicyPods;
  readonly events: EventRecorder;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** A Secret without the label is in no cache: nothing tells when it comes or goes. */
const LOOK_AGAIN_MS = 60_000;

/**
 * Brings a policy's bundle and status where its spec wants them: compile, publish, say so. What does not compile leaves the
 * last good bundle where it is. Throws KubeError.
 */
export function policyReconciler(
  kind: PolicyBundleKind,
  type: ResourceType<CustomResource>,
  parts: PolicyControllerParts,
): Reconcile {
  const { client, policies, sources, publisher, pods, events, now } = parts;
  return async (key) => {
    const policy: PolicyKey = { kind, ...objectKeyOf(key) };
    const signing: PolicyKey = { ...policy, kind: 'Issuer' };
    const object = policies.get(policy);
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) {
      for (const bundle of [policy, signing]) {
        publisher.forget(bundle);
        pods.forget(bundle);
      }
      return { afterMs: null };
    }
    const references = gatherReferences(sources, policy.namespace);
    const unseen = secretsUsedBy(object).filter((name) => !references.secrets.some((secret) => secret.name === name));
    const unlabelled = await unlabelledSecrets(client, policy.namespace, unseen);
    const found = { ...references, secrets: [...references.secrets, ...unlabelled] };
    const result = await compileAndPublish(publisher, policy, object, found, defaultStore(sources).problem);
    const { inUse, issuer, findings } = result;
    const { name: secretName } = bundleSecretKey(policy);

    const tell = (severity: 'Normal' | 'Warning', reason: string, message: string): void =>
      events.record({ about: object, type: severity, reason, message });
    for (const { name, written, tampered } of result.secrets) {
      if (tampered !== null) {
        const what = written ? 'and was replaced' : 'and cannot be replaced yet: see the condition Ready';
        tell('Warning', 'BundleTampered', `Secret ${name} was changed by another (${tampered}) ${what}`);
      }
      if (written) tell('Normal', 'BundleWritten', `bundle written to Secret ${name}`);
    }

    const standing = inUse && pods.enforcement(policy, inUse, issuer);
    const status = policyStatus({
      ...result,
      kind: POLICY_KINDS[kind],
      name: policy.name,
      secretName,
      ...egressOf(object),
      inUse: inUse && standing && { ...inUse, pods: standing },
    });
    // The status says Progressing before anybody is asked to load the bundle.
    if (await writeStatus(client, type, object, status, now())) {
      if (became(object.status, status, 'Accepted', 'False')) {
        const { reason } = status.conditions.find(({ type }) => type === 'Accepted')!;
        tell('Warning', reason, findingLines(findings));
      }
      if (became(object.status, status, 'Enforced', 'True')) tell('Normal', 'EnforcedByAll', 'all pods run the policy');
    }
    if (inUse !== null) pods.expect(policy, inUse);
    if (issuer !== null) pods.expect(signing, issuer);
    else pods.forget(signing);
    const blind = unseen.length > 0 || result.notReady?.reason === 'Conflicted';
    return { afterMs: blind ? LOOK_AGAIN_MS : null };
  };
}

/** Those of the Secrets that exist, without what is in them: that they are not in the cache says that the label is missing. */
async function unlabelledSecrets(
  client: Pick<KubeClient, 'get'>,
  namespace: string,
  names: readonly string[],
): Promise<readonly ReferencedSecret[]> {
  const found = await Promise.all(names.map((name) => client.get(SECRETS, { namespace, name })));
  return found.flatMap((secret) =>
    secret === null ? [] : [{ namespace, name: secret.metadata.name, labels: {}, data: {} }],
  );
}

/** Whether the policy has egress; `Dropped`: its status still says that it had. */
function egressOf(object: CustomResource): Pick<PolicyPicture, 'egress'> {
  const resource = resourceIn(object);
  if (resource?.kind === 'RateLimitPolicy' && resource.spec.egress.length > 0) return { egress: 'Asked' };
  return object.status?.conditions?.some(({ type }) => type === 'EgressEnforced') ? { egress: 'Dropped' } : {};
}

function became(
  before: CommonStatus | undefined,
  now: FoundStatus<CommonStatus>,
  type: string,
  status: 'True' | 'False',
): boolean {
  const is = (conditions: readonly { readonly type: string; readonly status: string }[] | undefined): boolean =>
    conditions?.some((condition) => condition.type === type && condition.status === status) ?? false;
  return is(now.conditions) && !is(before?.conditions);
}

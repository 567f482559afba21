import { API_VERSION } from '../../policy/api/resource.ts';
import { type AccessContent, compileAccessPolicy } from '../../policy/compile/compile-access-policy.ts';
import { compileLimits, type LimitsContent } from '../../policy/compile/compile-limits.ts';
import { type Compiled, type Finding, mergeFindings } from '../../policy/compile/finding.ts';
import type { References } from '../../policy/compile/references.ts';
import { type ErrorCode, PortcullisError } from '../../policy/errors.ts';
import type { OwnerReference } from '../kube/objects.ts';
import type { CustomResource } from '../resources.ts';
import { POLICY_KINDS, type PolicyKey } from '../workloads/enforcement.ts';
import { bundleSecretKey, isSigned, whyTampered } from './bundle-secret.ts';
import { decoded, resourceIn } from './gather-references.ts';
import type { NotReady } from './policy-status.ts';
import type { BundlePublisher } from './publish-bundle.ts';

/** What became of a policy's bundle. */
export interface PublishedPolicy {
  readonly findings: readonly Finding[];
  /** Why the bundle of this generation is not in its Secret; null: it is. */
  readonly notReady: NotReady | null;
  /** The bundle in the Secret, this generation's or an older one's; null: none of ours is there. */
  readonly inUse: { readonly serial: number; readonly hash: string; readonly mode: 'Enforce' | 'Shadow' } | null;
  /** Whether it was written just now. */
  readonly written: boolean;
  /** Why what was found in the Secret was not ours; null: it was, or there was nothing. */
  readonly tampered: ErrorCode | null;
  /** Why a Secret that the policy needs is of no use; null: none. */
  readonly secretMissing: string | null;
}

/**
 * Compiles a policy and puts its bundle into its Secret, or says why not. `storeProblem`: why the operator's own store is
 * of no use; null: it is, or there is none. Throws KubeError.
 */
export async function compileAndPublish(
  publisher: BundlePublisher,
  policy: PolicyKey,
  object: CustomResource,
  references: References,
  storeProblem: string | null,
): Promise<PublishedPolicy> {
  const { content, findings } = compile(object, references);
  if (content === null) {
    const notReady: NotReady = { reason: 'NotAccepted', message: 'not compiled: see Accepted' };
    return { ...lastGood(publisher, policy), findings, notReady, secretMissing: missingSecret(findings) };
  }
  // Without the store that the admin wants, counters would be each pod's own, and limits larger than declared.
  if (content.store === null && storeProblem !== null) {
    const notReady: NotReady = { reason: 'SecretMissing', message: storeProblem };
    return { ...lastGood(publisher, policy), findings, notReady, secretMissing: storeProblem };
  }
  try {
    const publication = await publisher.publish(content, ownerReference(policy, object));
    if (publication !== null) {
      const { serial, hash, written, tampered } = publication;
      const inUse = { serial, hash, mode: content.mode };
      return { findings, notReady: null, inUse, written, tampered, secretMissing: null };
    }
  } catch (error) {
    if (!(error instanceof PortcullisError && error.code === 'bundle_too_large')) throw error;
    const finding: Finding = { severity: 'error', code: 'Invalid', path: ['spec'], message: error.message };
    const notReady: NotReady = { reason: 'NotAccepted', message: 'too large: see Accepted' };
    return { ...lastGood(publisher, policy), findings: [...findings, finding], notReady, secretMissing: null };
  }
  const { namespace, name } = bundleSecretKey(policy);
  const message = `Secret ${namespace}/${name} was not written by Portcullis and stands where the bundle belongs; delete it, or keep it under another name`;
  return { ...lastGood(publisher, policy), findings, notReady: { reason: 'Conflicted', message }, secretMissing: null };
}

function compile(object: CustomResource, references: References): Compiled<AccessContent | LimitsContent> {
  const found = decoded(object);
  const problems = 'resource' in found ? [] : found.problems;
  const resource = resourceIn(object);
  if (resource === undefined || resource.kind === 'SigningKeySet') {
    return { content: null, findings: mergeFindings(problems, []) };
  }
  const { content, findings } =
    resource.kind === 'AccessPolicy' ? compileAccessPolicy(resource, references) : compileLimits(resource, references);
  return { content: problems.length === 0 ? content : null, findings: mergeFindings(problems, findings) };
}

/** What pods keep while there is nothing newer for them. */
function lastGood(
  publisher: BundlePublisher,
  policy: PolicyKey,
): Pick<PublishedPolicy, 'inUse' | 'written' | 'tampered'> {
  const reading = publisher.read(policy);
  if (!isSigned(reading)) return { inUse: null, written: false, tampered: whyTampered(reading) };
  const { bundle, hash } = reading;
  return { inUse: { serial: bundle.serial, hash, mode: bundle.mode }, written: false, tampered: null };
}

function missingSecret(findings: readonly Finding[]): string | null {
  const finding = findings.find(
    ({ code, path }) => code.startsWith('Ref') && path.some((part) => part === 'secretRef' || part === 'caSecretRef'),
  );
  return finding?.message ?? null;
}

function ownerReference({ kind }: PolicyKey, { metadata }: CustomResource): OwnerReference {
  const owner = { apiVersion: API_VERSION, kind: POLICY_KINDS[kind], name: metadata.name, uid: metadata.uid ?? '' };
  return { ...owner, controller: true };
}

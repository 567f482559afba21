import { API_VERSION } from '../../policy/api/resource.ts';
import { type AccessContent, compileAccessPolicy } from '../../policy/compile/compile-access-policy.ts';
import { compileIssuer, type IssuerContent } from '../../policy/compile/compile-issuer.ts';
import { compileLimits, type LimitsContent } from '../../policy/compile/compile-limits.ts';
import { type Compiled, type Finding, mergeFindings } from '../../policy/compile/finding.ts';
import type { References } from '../../policy/compile/references.ts';
import { type ErrorCode, PortcullisError } from '../../policy/errors.ts';
import type { OwnerReference } from '../kube/objects.ts';
import type { CustomResource } from '../resources.ts';
import { type ExpectedBundle, POLICY_KINDS, type PolicyKey } from '../workloads/enforcement.ts';
import { bundleSecretKey, isSigned, whyTampered } from './bundle-secret.ts';
import { decoded, resourceIn } from './gather-references.ts';
import type { NotReady } from './policy-status.ts';
import type { BundlePublisher } from './publish-bundle.ts';

/** What was found in, or done to, a Secret that holds a bundle of the policy. */
export interface LookedAtSecret {
  readonly name: string;
  /** Whether it was written just now. */
  readonly written: boolean;
  /** Why what was found in it was not ours; null: it was, or there was nothing. */
  readonly tampered: ErrorCode | null;
}

/** What became of a policy's bundle. */
export interface PublishedPolicy {
  readonly findings: readonly Finding[];
  /** Why the bundle of this generation is not in its Secret; null: it is. */
  readonly notReady: NotReady | null;
  /** The bundle in the Secret, this generation's or an older one's; null: none of ours is there. */
  readonly inUse: (ExpectedBundle & { readonly mode: 'Enforce' | 'Shadow' }) | null;
  /** What pods of the policy that issue tokens are to sign by; null: none of ours is there. */
  readonly issuer: ExpectedBundle | null;
  readonly secrets: readonly LookedAtSecret[];
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
  const { content, issuer, findings } = compile(object, references);
  const signing: PolicyKey = { ...policy, kind: 'Issuer' };
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
    const owner = ownerReference(policy, object);
    // First: endpoints without a key to sign by answer 503.
    const signed = issuer && (await publisher.publish(issuer, owner));
    const publication = await publisher.publish(content, owner);
    if (policy.kind === 'Access' && issuer === null) await publisher.remove(signing);
    if (publication !== null) {
      const secrets = [lookedAt(policy, publication), ...(signed ? [lookedAt(signing, signed)] : [])];
      const inUse = { serial: publication.serial, hash: publication.hash, mode: content.mode };
      const notReady = issuer !== null && signed === null ? conflicted(signing) : null;
      return { findings, notReady, inUse, issuer: signed, secrets, secretMissing: null };
    }
  } catch (error) {
    if (!(error instanceof PortcullisError && error.code === 'bundle_too_large')) throw error;
    const finding: Finding = { severity: 'error', code: 'Invalid', path: ['spec'], message: error.message };
    const notReady: NotReady = { reason: 'NotAccepted', message: 'too large: see Accepted' };
    return { ...lastGood(publisher, policy), findings: [...findings, finding], notReady, secretMissing: null };
  }
  return { ...lastGood(publisher, policy), findings, notReady: conflicted(policy), secretMissing: null };
}

function conflicted(policy: PolicyKey): NotReady {
  const { namespace, name } = bundleSecretKey(policy);
  const message = `Secret ${namespace}/${name} was not written by Portcullis and stands where the bundle belongs; delete it, or keep it under another name`;
  return { reason: 'Conflicted', message };
}

function lookedAt(
  policy: PolicyKey,
  { written, tampered }: Pick<LookedAtSecret, 'written' | 'tampered'>,
): LookedAtSecret {
  return { name: bundleSecretKey(policy).name, written, tampered };
}

function compile(
  object: CustomResource,
  references: References,
): Compiled<AccessContent | LimitsContent> & { readonly issuer: IssuerContent | null } {
  const found = decoded(object);
  const problems = 'resource' in found ? [] : found.problems;
  const resource = resourceIn(object);
  if (resource === undefined || resource.kind === 'SigningKeySet') {
    return { content: null, issuer: null, findings: mergeFindings(problems, []) };
  }
  const { content, findings } =
    resource.kind === 'AccessPolicy' ? compileAccessPolicy(resource, references) : compileLimits(resource, references);
  const merged = mergeFindings(problems, findings);
  if (problems.length > 0 || content === null) return { content: null, issuer: null, findings: merged };
  const issuer = resource.kind === 'AccessPolicy' ? compileIssuer(resource, references) : null;
  return { content, issuer, findings: merged };
}

/** What pods keep while there is nothing newer for them. */
function lastGood(
  publisher: BundlePublisher,
  policy: PolicyKey,
): Pick<PublishedPolicy, 'inUse' | 'issuer' | 'secrets'> {
  const signing: PolicyKey = { ...policy, kind: 'Issuer' };
  const reading = publisher.read(policy);
  const signed = policy.kind === 'Access' ? publisher.read(signing) : null;
  const secrets = [lookedAt(policy, { written: false, tampered: whyTampered(reading) })];
  if (signed !== null) secrets.push(lookedAt(signing, { written: false, tampered: whyTampered(signed) }));
  const bundle = isSigned(reading) && reading.bundle.kind !== 'Issuer' ? reading.bundle : null;
  return {
    inUse: isSigned(reading) && bundle ? { serial: bundle.serial, hash: reading.hash, mode: bundle.mode } : null,
    issuer: isSigned(signed) ? { serial: signed.bundle.serial, hash: signed.hash } : null,
    secrets,
  };
}

function missingSecret(findings: readonly Finding[]): string | null {
  const finding = findings.find(
    ({ code, path }) =>
      code.startsWith('Ref') &&
      path.some((part) => part === 'secretRef' || part === 'caSecretRef' || part === 'htpasswdSecretRef'),
  );
  return finding?.message ?? null;
}

function ownerReference({ kind }: PolicyKey, { metadata }: CustomResource): OwnerReference {
  const owner = { apiVersion: API_VERSION, kind: POLICY_KINDS[kind], name: metadata.name, uid: metadata.uid ?? '' };
  return { ...owner, controller: true };
}

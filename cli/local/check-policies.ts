import type { AccessPolicy } from '../../policy/api/access-policy.ts';
import type { Resource } from '../../policy/api/kinds.ts';
import type { RateLimitPolicy } from '../../policy/api/rate-limit-policy.ts';
import type { SigningKeySet } from '../../policy/api/signing-key-set.ts';
import { type AccessContent, compileAccessPolicy } from '../../policy/compile/compile-access-policy.ts';
import { compileLimits, type LimitsContent } from '../../policy/compile/compile-limits.ts';
import { type CompiledPolicies, compilePolicies } from '../../policy/compile/compile-policies.ts';
import { type Compiled, type Finding, mergeFindings } from '../../policy/compile/finding.ts';
import type { ReferencedSecret, References, ResolvedKeySet } from '../../policy/compile/references.ts';
import { listed, thereAre } from '../../policy/compile/suggest.ts';
import type { CandidateNames } from '../../runtime/sidecar-arguments.ts';
import { type ParsedPolicies, parsePolicies, type SourceResource } from './parse-policies.ts';
import type { PolicyFile } from './policy-files.ts';
import { type AffectedBundle, problemAt, type SourceProblem } from './source-problem.ts';

/** What of a directory is to be enforced. */
export interface PolicyChoice {
  /** As the user wrote it, for messages. */
  readonly directory: string;
  /** NAME or NAMESPACE/NAME; null: the only one. */
  readonly accessPolicy: string | null;
  readonly rateLimitPolicy: string | null;
  /** Policies to try beside them, likewise. Absent: none. */
  readonly candidates?: CandidateNames;
  /** Replaces the store of every policy; null: each policy's own. */
  readonly redisUrl: string | null;
}

/** Policies without an error in them. */
export interface CheckedPolicies {
  readonly keySets: readonly SigningKeySet[];
  /** Those of the directory, whether or not anything refers to them. */
  readonly secrets: readonly ReferencedSecret[];
  readonly accessPolicy: AccessPolicy;
  readonly limitPolicy: RateLimitPolicy | null;
  /** To be tried beside them. */
  readonly candidates: readonly (AccessPolicy | RateLimitPolicy)[];
  /** Compiles them with the keys that there are. */
  compile(outputsOf: (keySet: SigningKeySet) => ResolvedKeySet['outputs']): CompiledPolicies;
  compileCandidates(
    outputsOf: (keySet: SigningKeySet) => ResolvedKeySet['outputs'],
  ): readonly Compiled<AccessContent | LimitsContent>[];
}

/** The outcome of a check: `policies` is null when some problem is an error. */
export interface PolicyCheck {
  readonly policies: CheckedPolicies | null;
  readonly problems: readonly SourceProblem[];
}

/** Checks everything that stands in the files of a directory, chosen or not, and reports all problems at once. */
export function checkPolicies(files: readonly PolicyFile[], choice: PolicyChoice): PolicyCheck {
  const parsed = parsePolicies(files);
  const problems = [...parsed.problems];
  const accessPolicy = chooseAccessPolicy(parsed.accessPolicies, choice, problems);
  const limitPolicy = pick(
    parsed.limitPolicies,
    choice.rateLimitPolicy,
    'RateLimitPolicy',
    '--rate-limit-policy',
    choice.directory,
    problems,
  );
  const candidates = chooseCandidates(parsed, choice, problems);
  // Whether there is a key yet is not the writer's business; that the key set is there is.
  const checking = referencesOf(parsed, choice, () => ({ serial: 1, verificationKeys: [] }));
  const report = (from: SourceResource<Resource>, findings: readonly Finding[], affects: AffectedBundle) => {
    for (const { path, message, severity } of mergeFindings(from.problems, findings)) {
      problems.push(problemAt(from.source, path, message, { severity, affects }));
    }
  };
  for (const keySet of parsed.keySets) report(keySet, [], null);
  for (const policy of parsed.accessPolicies) {
    report(policy, compileAccessPolicy(policy.resource, checking).findings, 'access');
  }
  const together =
    accessPolicy === null ? null : compilePolicies(accessPolicy.resource, limitPolicy?.resource ?? null, checking);
  for (const policy of parsed.limitPolicies) {
    const compiled =
      policy === limitPolicy && together?.limits ? together.limits : compileLimits(policy.resource, checking);
    report(policy, compiled.findings, 'limits');
  }
  if (accessPolicy === null || problems.some(({ severity }) => severity === 'error'))
    return { policies: null, problems };
  const policies: CheckedPolicies = {
    keySets: parsed.keySets.map(({ resource }) => resource),
    secrets: parsed.secrets,
    accessPolicy: accessPolicy.resource,
    limitPolicy: limitPolicy?.resource ?? null,
    candidates,
    compileCandidates: (outputsOf) => {
      const references = referencesOf(parsed, choice, outputsOf);
      return candidates.map((policy) =>
        policy.kind === 'AccessPolicy' ? compileAccessPolicy(policy, references) : compileLimits(policy, references),
      );
    },
    compile: (outputsOf) =>
      compilePolicies(accessPolicy.resource, limitPolicy?.resource ?? null, referencesOf(parsed, choice, outputsOf)),
  };
  return { policies, problems };
}

function referencesOf(
  parsed: ParsedPolicies,
  choice: PolicyChoice,
  outputsOf: (keySet: SigningKeySet) => ResolvedKeySet['outputs'],
): References {
  return {
    keySets: parsed.keySets.map(({ resource }) => ({ resource, outputs: outputsOf(resource) })),
    secrets: parsed.secrets,
    configMaps: parsed.configMaps,
    namespaces: parsed.accessPolicies.map(({ resource: { metadata } }) => ({
      name: metadata.namespace,
      labels: { 'kubernetes.io/metadata.name': metadata.namespace },
    })),
    defaultStore: null,
    defaultClientIp: null,
    storeOverride: choice.redisUrl,
  };
}

function chooseCandidates(
  { accessPolicies, limitPolicies }: ParsedPolicies,
  { candidates, directory }: PolicyChoice,
  problems: SourceProblem[],
): (AccessPolicy | RateLimitPolicy)[] {
  const { accessPolicy = null, rateLimitPolicy = null } = candidates ?? {};
  const named = [
    accessPolicy &&
      pick(accessPolicies, accessPolicy, 'AccessPolicy', '--candidate-access-policy', directory, problems),
    rateLimitPolicy &&
      pick(limitPolicies, rateLimitPolicy, 'RateLimitPolicy', '--candidate-rate-limit-policy', directory, problems),
  ];
  return named.flatMap((found) => (found ? found.resource : []));
}

function chooseAccessPolicy(
  policies: readonly SourceResource<AccessPolicy>[],
  { accessPolicy, directory }: PolicyChoice,
  problems: SourceProblem[],
): SourceResource<AccessPolicy> | null {
  const found = pick(policies, accessPolicy, 'AccessPolicy', '--access-policy', directory, problems);
  const broken = problems.some(({ severity, affects }) => severity === 'error' && affects !== 'limits');
  if (found === null && policies.length === 0 && accessPolicy === null && !broken) {
    problems.push({
      severity: 'error',
      affects: 'access',
      text: `${directory}: there is no AccessPolicy; add one, see examples/policies/access.yaml`,
    });
  }
  return found;
}

function pick<R extends AccessPolicy | RateLimitPolicy>(
  policies: readonly SourceResource<R>[],
  wanted: string | null,
  kind: R['kind'],
  flag: string,
  directory: string,
  problems: SourceProblem[],
): SourceResource<R> | null {
  const affects = kind === 'AccessPolicy' ? 'access' : 'limits';
  const names = policies.map(({ resource: { metadata } }) => `${metadata.namespace}/${metadata.name}`);
  const fitting = policies.filter(
    (_, index) => wanted === null || names[index] === wanted || names[index]!.endsWith(`/${wanted}`),
  );
  if (fitting.length === 1) return fitting[0]!;
  if (fitting.length === 0 && wanted === null) return null;
  const text =
    fitting.length === 0
      ? `${directory}: there is no ${kind} ${wanted}; ${names.length === 0 ? 'there are none' : thereAre(names)}`
      : `${directory}: there is more than one ${kind}, ${listed(names)}; choose with ${flag} NAMESPACE/NAME`;
  problems.push({ severity: 'error', affects, text });
  return null;
}

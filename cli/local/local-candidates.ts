import type { BundleLocations } from '../../sidecar/enforcement-options.ts';
import type { BundleWriter } from './bundle-writer.ts';
import type { CheckedPolicies } from './check-policies.ts';

/** Where the sidecar finds the policies that are only tried; absent where there are none. It is started for their names and keeps them. */
export function candidateLocations(
  { candidates }: CheckedPolicies,
  writer: BundleWriter,
): Pick<BundleLocations, 'candidates'> {
  if (candidates.length === 0) return {};
  const locationOf = (kind: 'AccessPolicy' | 'RateLimitPolicy') => {
    const policy = candidates.find((candidate) => candidate.kind === kind);
    if (policy === undefined) return null;
    const { namespace, name } = policy.metadata;
    return { directory: writer.directoryOf(kind === 'AccessPolicy' ? 'Access' : 'Limits', true), namespace, name };
  };
  return { candidates: { access: locationOf('AccessPolicy'), limits: locationOf('RateLimitPolicy') } };
}

/** Writes their bundles; whether some is new. One that does not compile keeps nothing else from being published: why not goes to `say`. */
export async function publishCandidates(
  { compileCandidates }: CheckedPolicies,
  outputsOf: Parameters<CheckedPolicies['compileCandidates']>[0],
  writer: BundleWriter,
  say: (why: readonly { readonly message: string }[]) => void,
): Promise<boolean> {
  let published = false;
  for (const { content, findings } of compileCandidates(outputsOf)) {
    if (content === null) say(findings);
    else published = (await writer.write(content, true)) || published;
  }
  return published;
}

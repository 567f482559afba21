import { PortcullisError } from '../../policy/errors.ts';
import type { Policies } from '../../sidecar/enforcement-options.ts';
import { createTokenVerifier } from '../../sidecar/tokens/verifier.ts';
import { checkPolicies, type PolicyChoice } from '../local/check-policies.ts';
import { readPolicyFiles } from '../local/policy-files.ts';

/**
 * What a sidecar would enforce by the policies of a directory, without keys: no token verifies. Warnings go to `say`, a line
 * each. Throws policy_invalid with every problem, one a line, and config_invalid when the directory cannot be read.
 */
export async function loadPolicies(choice: PolicyChoice, say: (line: string) => void): Promise<Policies> {
  const { policies, problems } = checkPolicies(await readPolicyFiles(choice.directory), choice);
  const compiled = policies?.compile(() => ({ serial: 1, verificationKeys: [] }));
  const access = compiled?.access.content;
  if (access == null) throw new PortcullisError('policy_invalid', problems.map(({ text }) => text).join('\n'));
  for (const { text } of problems) say(text);
  const limits = compiled?.limits?.content ?? null;
  return {
    access: { ...access, serial: 1 },
    limits: limits === null ? null : { ...limits, serial: 1 },
    verifier: createTokenVerifier(access.jwt),
    issuesTokens: true, // as local mode does
  };
}

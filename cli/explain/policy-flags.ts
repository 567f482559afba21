import type { PolicyChoice } from '../local/check-policies.ts';

/** Flags of every command that decides by the policies of a directory, for parseArgs; as `portcullis local` has them. */
export const POLICY_FLAGS = {
  policies: { type: 'string' },
  'access-policy': { type: 'string' },
  'rate-limit-policy': { type: 'string' },
} as const;

/** The lines of a command's help about POLICY_FLAGS. */
export const POLICY_HELP = `  --policies DIR            directory that holds the policies, as portcullis local reads it
  --access-policy NAME      the AccessPolicy, as NAME or NAMESPACE/NAME, when there are several
  --rate-limit-policy NAME  the RateLimitPolicy, likewise`;

/** Values of POLICY_FLAGS. */
export interface PolicyValues {
  readonly policies?: string | undefined;
  readonly 'access-policy'?: string | undefined;
  readonly 'rate-limit-policy'?: string | undefined;
}

/** The policies of a directory by these flags. `directory`: the value of --policies, which must be there. */
export function choiceOf(directory: string, values: PolicyValues): PolicyChoice {
  const { 'access-policy': accessPolicy = null, 'rate-limit-policy': rateLimitPolicy = null } = values;
  return { directory, accessPolicy, rateLimitPolicy, redisUrl: null };
}

import { ANNOTATIONS } from '../../policy/api/names.ts';
import type { CandidateNames } from '../../runtime/sidecar-arguments.ts';
import type { AskedSettings } from './coverage-annotations.ts';

/** The settings that name policies which are only tried: nothing that is wrong with them may keep a pod from serving. */
export const CANDIDATE_SETTINGS = ['candidateAccessPolicy', 'candidateRateLimitPolicy'] as const;

const LIVE = { candidateAccessPolicy: 'accessPolicy', candidateRateLimitPolicy: 'rateLimitPolicy' } as const;

/** The candidates of a guarded pod, absent where there are none; and what to say of those that cannot be tried. */
export function candidatesOf(settings: Partial<AskedSettings>): {
  readonly asked: { readonly candidates?: CandidateNames };
  readonly warnings: readonly string[];
} {
  const warnings: string[] = [];
  const [accessPolicy = null, rateLimitPolicy = null] = CANDIDATE_SETTINGS.map((setting): string | null => {
    const name = settings[setting];
    if (name === undefined || name !== settings[LIVE[setting]]) return name ?? null;
    warnings.push(`${ANNOTATIONS[setting]}: ${name} is the live policy itself; name another, or remove the annotation`);
    return null;
  });
  if (accessPolicy === null && rateLimitPolicy === null) return { asked: {}, warnings };
  return { asked: { candidates: { accessPolicy, rateLimitPolicy } }, warnings };
}

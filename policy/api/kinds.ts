import { type AccessPolicy, accessPolicy } from './access-policy.ts';
import { type RateLimitPolicy, rateLimitPolicy } from './rate-limit-policy.ts';
import type { ResourceDefinition } from './resource.ts';
import { type SigningKeySet, signingKeySet } from './signing-key-set.ts';

/** Any resource of the group. */
export type Resource = SigningKeySet | AccessPolicy | RateLimitPolicy;

/** Every kind of the group. */
export const kinds: readonly ResourceDefinition[] = [signingKeySet, accessPolicy, rateLimitPolicy];

import { accessPolicy } from '../policy/api/access-policy.ts';
import { rateLimitPolicy } from '../policy/api/rate-limit-policy.ts';
import { API_VERSION, type ResourceDefinition } from '../policy/api/resource.ts';
import { type SigningKeySet, signingKeySet } from '../policy/api/signing-key-set.ts';
import type { Condition, KubeObject, ResourceType } from './kube/objects.ts';

/** What the status of every kind of ours says. */
export interface CommonStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  readonly pods?: { readonly matched: number; readonly current: number; readonly stale: number };
}

/** The status of a SigningKeySet, as its schema has it. */
export type SigningKeySetStatus = CommonStatus & Omit<NonNullable<SigningKeySet['status']>, keyof CommonStatus>;

/** An object of one of our kinds as the API server holds it; its spec is `decodeResource`'s to read. */
export interface CustomResource<Status extends CommonStatus = CommonStatus> extends KubeObject {
  readonly spec?: unknown;
  readonly status?: Status;
}

/** The three kinds of the group. */
export const SIGNING_KEY_SETS: ResourceType<CustomResource<SigningKeySetStatus>> = resourceType(signingKeySet);
export const ACCESS_POLICIES: ResourceType<CustomResource> = resourceType(accessPolicy);
export const RATE_LIMIT_POLICIES: ResourceType<CustomResource> = resourceType(rateLimitPolicy);

function resourceType<Status extends CommonStatus>({
  kind,
  plural,
}: ResourceDefinition): ResourceType<CustomResource<Status>> {
  return { apiVersion: API_VERSION, kind, plural, namespaced: true };
}

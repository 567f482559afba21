import { accessPolicy } from '../policy/api/access-policy.ts';
import { rateLimitPolicy } from '../policy/api/rate-limit-policy.ts';
import { API_VERSION, type ResourceDefinition } from '../policy/api/resource.ts';
import { signingKeySet } from '../policy/api/signing-key-set.ts';
import type { Condition, KubeObject, ResourceType } from './kube/objects.ts';

/** What the status of every kind of ours says. */
export interface CommonStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly Condition[];
  readonly pods?: { readonly matched: number; readonly current: number; readonly stale: number };
}

/** The status of a SigningKeySet. */
export interface SigningKeySetStatus extends CommonStatus {
  /** The kid that signs now. */
  readonly activeKey?: string;
  /** When the next key is to sign. RFC 3339. */
  readonly nextRotation?: string;
}

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

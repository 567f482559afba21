import type { HtpasswdUsers, TokenEndpoints } from '../../policy/bundle/tokens.ts';
import type { IdentityPointers } from '../../policy/bundle/types.ts';

/** Users that we know ourselves. */
export interface HtpasswdCredentials extends HtpasswdUsers {
  readonly kind: 'Htpasswd';
}

/** Users that the application knows: it gets the credentials and answers 2xx with JSON that holds the identity, or 4xx. */
export interface UpstreamCredentials {
  readonly kind: 'Upstream';
  readonly path: string;
}

/** The token endpoints of one AccessPolicy, with who may log in and where an identity stands in claims. */
export interface TokenServiceConfig extends Omit<TokenEndpoints, 'login' | 'kids'> {
  /** `credentials` null: they, or the key that signs, have not reached this pod. */
  readonly login: { readonly path: string; readonly credentials: HtpasswdCredentials | UpstreamCredentials | null };
  /** Where the identity stands in what the application answers, and, the first of each, in the tokens we sign. */
  readonly identity: IdentityPointers;
}

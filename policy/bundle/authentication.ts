import { count, list, name, nullable, object, oneOf, someOf } from './check.ts';
import type { JwtAuthenticator } from './types.ts';

/** Whom a credential that is no token stands for. */
export interface CredentialSubject {
  readonly subject: string;
  readonly roles: readonly string[];
  readonly tenant: string | null;
  readonly tier: string | null;
}

/** One API key, known by its hash alone. */
export interface ApiKeyEntry extends CredentialSubject {
  /** Of the whole key, in lower-case hex. */
  readonly sha256: string;
  /** Epoch milliseconds from which on it is refused; null: it does not end. */
  readonly expiresAt: number | null;
}

/** One list of API keys, and the header that carries them. */
export interface ApiKeyAuthenticator {
  readonly name: string;
  /** Lower case; no other authenticator reads it. */
  readonly header: string;
  /** No hash stands twice in a policy. */
  readonly keys: readonly ApiKeyEntry[];
}

/** One client that signs its requests. */
export interface SignedRequestClient extends CredentialSubject {
  /** Unique in a policy. */
  readonly id: string;
  /** One or two, base64: the second lives while clients change over. */
  readonly secrets: readonly string[];
}

/** One list of clients that sign their requests, with what holds for them. */
export interface SignedRequestAuthenticator {
  readonly name: string;
  /** `namespace/name` of the Secret; nonces are remembered under it, so that policies that share it share them. */
  readonly secret: string;
  /** How far a timestamp may be from our clock. */
  readonly toleranceMs: number;
  /** Largest body: it is read whole to be hashed. */
  readonly maxBytes: number;
  /** What to do while nobody can tell whether a nonce was used before. */
  readonly onStoreFailure: 'Deny' | 'Allow';
  readonly clients: readonly SignedRequestClient[];
}

/** Revoked tokens are looked for on every request. */
export interface RevocationConfig {
  /** What to do with a token while what is known of revocations is too old. */
  readonly onStoreFailure: 'Deny' | 'Allow';
  /** What is revoked elsewhere is refused here after at most this long. */
  readonly maxStalenessMs: number;
}

/** What revocations of an authenticator's tokens are stored under: its key set, or `external:` and its issuer. */
export function revocationGroup({ keySet, issuer }: Pick<JwtAuthenticator, 'keySet' | 'issuer'>): string {
  return keySet ?? `external:${issuer}`;
}

const subject = { subject: name, roles: list(name), tenant: nullable(name), tier: nullable(name) };
const onStoreFailure = oneOf('Deny', 'Allow');

/** Checks the members of an access bundle that authenticate by something else than tokens, or revoke them. */
export const authenticationShape = {
  apiKeys: someOf(
    object<ApiKeyAuthenticator>({
      name,
      header: name,
      keys: list(object<ApiKeyEntry>({ ...subject, sha256: name, expiresAt: nullable(count(0)) })),
    }),
  ),
  signedRequests: someOf(
    object<SignedRequestAuthenticator>({
      name,
      secret: name,
      toleranceMs: count(1),
      maxBytes: count(1),
      onStoreFailure,
      clients: list(object<SignedRequestClient>({ ...subject, id: name, secrets: someOf(name) })),
    }),
  ),
  revocation: object<RevocationConfig>({ onStoreFailure, maxStalenessMs: count(1) }),
};

import { hash } from 'node:crypto';
import type { ApiKeyEntry, SignedRequestClient } from '../../policy/bundle/authentication.ts';
import type { AccessBundle } from '../../policy/bundle/types.ts';
import type { Stores } from '../stores/open-stores.ts';
import { type RevocationCheck, revocationCheck } from '../tokens/revocation-check.ts';
import type { VerifiedToken } from '../tokens/token-verifier.ts';

/**
 * What the policy in force says of credentials, for connections that outlive the policy which let them in: whoever takes a line out of
 * the Secret wants its open WebSockets gone, and revocations may be read from another store by then.
 */
export class LiveCredentials {
  /** Null: nobody is asked to leave. */
  #known: ReadonlySet<string> | null = null;
  #revocation: RevocationCheck | null = null;

  /** What this policy says counts from now on; in Shadow nothing is ended. */
  use(access: AccessBundle, revocationsOf: Stores['revocationsOf']): void {
    this.#known = null;
    this.#revocation = null;
    const { mode, apiKeys = [], signedRequests = [], revocation, jwt } = access;
    if (mode === 'Shadow') return;
    if (revocation !== undefined) this.#revocation = revocationCheck(revocation, jwt, revocationsOf);
    const keys = apiKeys.flatMap((list) => list.keys.map(credentialOfKey));
    const clients = signedRequests.flatMap((list) =>
      list.clients.flatMap((client) => client.secrets.map((_, index) => credentialOfClient(client, index))),
    );
    this.#known = new Set([...keys, ...clients]);
  }

  /** Whether a credential, as `credentialOfKey` and `credentialOfClient` name it, is good still. */
  has(credential: string): boolean {
    return this.#known?.has(credential) !== false;
  }

  /** Whether a token is known to be revoked. */
  isRevoked(token: VerifiedToken): boolean {
    return this.#revocation?.isRevoked(token) === true;
  }
}

/** Tells a key from all others. */
export function credentialOfKey({ sha256 }: ApiKeyEntry): string {
  return `key ${sha256}`;
}

/** Tells one secret of a client from all others, by its hash: it has 32 random bytes or more. */
export function credentialOfClient({ id, secrets }: SignedRequestClient, index: number): string {
  return `client ${id} ${hash('sha256', secrets[index] ?? '', 'hex')}`;
}

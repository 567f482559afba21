import type { CredentialSubject } from '../../policy/bundle/authentication.ts';
import type { IdentityPointers } from '../../policy/bundle/types.ts';
import type { AccessEvaluator, Identity } from '../../policy/evaluate/access-evaluator.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Denial, denial } from '../pipeline/filter.ts';
import { claimsOf } from '../token-service/token-claims.ts';

/** What proves who sent a request, other than a token: the `kind` label of portcullis_credential_failures_total. */
export type CredentialKind = 'api_key' | 'signed_request';

/** Why one was refused: a closed list, its `reason` label. */
export type CredentialRefusal =
  | 'ambiguous'
  | 'malformed'
  | 'unknown_key'
  | 'expired'
  | 'unknown_client'
  | 'timestamp'
  | 'signature'
  | 'replayed';

/** Who sent a request, and by what that is known. */
export interface AcceptedCredential {
  readonly kind: 'accepted';
  /** Name of the list in the policy. */
  readonly authenticator: string;
  readonly identity: Identity;
  /** Epoch milliseconds from which on it is refused; null: it does not end. */
  readonly expiresAt: number | null;
  /** Names it to LiveCredentials. */
  readonly credential: string;
}

/** A way other than tokens to prove who sent a request. */
export interface CredentialCheck {
  readonly kind: CredentialKind;
  /** Whether a request brings such a credential, good or bad. Asked of every request. */
  brought(exchange: Exchange): boolean;
  /** Who sent it; a refusal; or a denial because nobody can tell now. */
  check(
    exchange: Exchange,
  ): AcceptedCredential | CredentialRefusal | Denial | Promise<AcceptedCredential | CredentialRefusal | Denial>;
}

/** An entry that knows its identity once it was used: the same object for all its requests. */
export function identityOf(
  subject: CredentialSubject,
  pointers: IdentityPointers,
  evaluator: AccessEvaluator,
): Identity {
  const { subject: user, roles, tenant, tier } = subject;
  // As a token would bring them: conditions read plain JSON.
  const claims = JSON.parse(JSON.stringify(claimsOf({ user, roles, tenant, tierClaim: tier }, pointers)));
  return evaluator.identify(claims);
}

const CODES = {
  api_key: ['api_key_invalid', 'ApiKey'],
  signed_request: ['signature_invalid', 'Signature'],
} as const;
const denials = new Map<string, Denial>();

/** The denial of a refused credential; the reason goes to the log and the metrics, never to whoever tries. */
export function credentialDenial(kind: CredentialKind, reason: CredentialRefusal): Denial {
  const key = `${kind} ${reason}`;
  let known = denials.get(key);
  if (known === undefined) {
    const [code, challenge] = CODES[kind];
    // RFC 9110 §11.6.1 wants a challenge on every 401; no scheme is registered for these.
    known = denial(code, 'authenticate', reason, ['www-authenticate', challenge]);
    denials.set(key, known);
  }
  return known;
}

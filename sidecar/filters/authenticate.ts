import type { AccessEvaluator, Identity } from '../../policy/evaluate/access-evaluator.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Decision, type Denial, denial, type Filter } from '../pipeline/filter.ts';
import type { RevocationVerdict } from '../stores/revocations.ts';
import type { RevocationCheck } from '../tokens/revocation-check.ts';
import type { TokenRefusal, TokenVerdict, TokenVerifier, VerifiedToken } from '../tokens/token-verifier.ts';
import {
  type AcceptedCredential,
  type CredentialCheck,
  type CredentialRefusal,
  credentialDenial,
} from './credential-check.ts';
import { AMBIGUOUS, type CredentialPlace } from './credentials.ts';
import type { LiveCredentials } from './live-credentials.ts';

/** What the authenticate layer works with. */
export interface AuthenticateOptions {
  readonly places: readonly CredentialPlace[];
  readonly verifier: TokenVerifier;
  /** Null: revocations are not looked at. */
  readonly revocation: RevocationCheck | null;
  /** Other ways than tokens. */
  readonly checks: readonly CredentialCheck[];
  /** Which credentials are good at any later time. */
  readonly live: LiveCredentials;
  /** Takes tokens out of the query of a handshake; null: none may stand there. */
  readonly withoutTokens: ((query: string) => string) | null;
  readonly evaluator: AccessEvaluator;
  readonly metrics: PolicyMetrics;
  /** Charges the address's anonymous rates for a failed attempt; a denial of it answers instead of the 401. */
  readonly spendAnonymous: (exchange: Exchange) => Decision | Promise<Decision>;
  readonly shadow: boolean;
}

const refusals = new Map<TokenRefusal, Denial>();
const REVOCATION_UNKNOWN = denial('store_unavailable', 'authenticate', 'revocations', ['retry-after', '1']);

/** RFC 6750 §3.1; the reason goes to the log and the metrics, never to whoever tries tokens. */
function invalidToken(reason: TokenRefusal): Denial {
  let refusal = refusals.get(reason);
  if (refusal === undefined) {
    refusal = denial('token_invalid', 'authenticate', reason, ['www-authenticate', 'Bearer error="invalid_token"']);
    refusals.set(reason, refusal);
  }
  return refusal;
}

/**
 * Finds a credential, has it verified and sets the identity. None is no denial: authorize decides whether one is needed. A bad one
 * is refused unless the rule lets in anonymous requests: there it is counted and ignored. Two of different kinds are ambiguous;
 * of several places of tokens the first that has one decides.
 */
export function authenticate(options: AuthenticateOptions): Filter {
  const { places, verifier, revocation, checks, live, withoutTokens, evaluator, metrics, spendAnonymous, shadow } =
    options;

  const settle = (exchange: Exchange, place: CredentialPlace, verdict: TokenVerdict): Decision | Promise<Decision> => {
    if (typeof verdict === 'string') return refuseToken(exchange, verdict);
    if (!place.authenticators.has(verdict.authenticator)) return refuseToken(exchange, 'issuer');
    if (revocation === null) return accept(exchange, place, verdict);
    const known = revocation.check(verdict);
    if (known instanceof Promise) return known.then((settled) => unlessRevoked(exchange, place, verdict, settled));
    return unlessRevoked(exchange, place, verdict, known);
  };

  const unlessRevoked = (
    exchange: Exchange,
    place: CredentialPlace,
    token: VerifiedToken,
    verdict: RevocationVerdict,
  ): Decision | Promise<Decision> => {
    if (verdict === 'ok') return accept(exchange, place, token);
    return verdict === 'revoked' ? refuseToken(exchange, 'revoked') : undecided(exchange, REVOCATION_UNKNOWN);
  };

  const accept = (exchange: Exchange, place: CredentialPlace, token: VerifiedToken): undefined => {
    metrics.tokenAccepted();
    let identity = token.identity as Identity | null;
    if (identity === null || identity.evaluator !== evaluator) {
      identity = evaluator.identify(token.claims);
      token.identity = identity;
    }
    exchange.identity = identity;
    exchange.authenticator = token.authenticator;
    exchange.identityFromCookie = place.cookie;
    if (exchange.upgrade && !shadow) {
      exchange.stillValid = (now) =>
        now < token.refuseAfter && revocation?.isRevoked(token) !== true && !live.isRevoked(token);
    }
  };

  const conclude = (
    exchange: Exchange,
    { kind }: CredentialCheck,
    outcome: AcceptedCredential | CredentialRefusal | Denial,
  ): Decision | Promise<Decision> => {
    if (typeof outcome === 'string') return refuseCredential(exchange, kind, outcome);
    if (outcome.kind === 'deny') return undecided(exchange, outcome);
    metrics.credentialAccepted();
    const { identity, authenticator, expiresAt, credential } = outcome;
    exchange.identity = identity;
    exchange.authenticator = authenticator;
    if (exchange.upgrade && !shadow) {
      exchange.stillValid = (now) => (expiresAt === null || now < expiresAt) && live.has(credential);
    }
    return undefined;
  };

  const refuseToken = (exchange: Exchange, reason: TokenRefusal): Decision | Promise<Decision> => {
    metrics.tokenRefused(reason);
    return refuse(exchange, invalidToken(reason));
  };

  const refuseCredential = (
    exchange: Exchange,
    kind: CredentialCheck['kind'],
    reason: CredentialRefusal,
  ): Decision | Promise<Decision> => {
    metrics.credentialRefused(kind, reason);
    return refuse(exchange, credentialDenial(kind, reason));
  };

  const refuse = (exchange: Exchange, refusal: Denial): Decision | Promise<Decision> => {
    if (evaluator.allowsAnonymous(exchange.rule)) return undefined;
    // In Shadow the request goes on, and the limit layer charges it as anonymous by itself.
    if (shadow) return refusal;
    const spent = spendAnonymous(exchange);
    return spent instanceof Promise ? spent.then((over) => over ?? refusal) : (spent ?? refusal);
  };

  /** Nobody tried anything: the attempt costs nothing, and without an identity the request may still be let in. */
  const undecided = (exchange: Exchange, why: Denial): Decision =>
    evaluator.allowsAnonymous(exchange.rule) ? undefined : why;

  return {
    name: 'authenticate',
    shadow,
    onRequest: (exchange) => {
      let token: string | undefined | typeof AMBIGUOUS;
      let place: CredentialPlace | undefined;
      for (const each of places) {
        token = each.find(exchange);
        if (token === undefined) continue;
        place = each;
        break;
      }
      // In Shadow the application may be the one that reads it.
      if (withoutTokens !== null && exchange.upgrade && !shadow) exchange.query = withoutTokens(exchange.query);

      let brought: CredentialCheck | undefined;
      for (const check of checks) {
        if (!check.brought(exchange)) continue;
        if (place !== undefined || brought !== undefined) return refuseCredential(exchange, check.kind, 'ambiguous');
        brought = check;
      }
      if (brought !== undefined) {
        const check = brought;
        const outcome = check.check(exchange);
        if (!(outcome instanceof Promise)) return conclude(exchange, check, outcome);
        return outcome.then((settled) => conclude(exchange, check, settled));
      }
      if (place === undefined || token === undefined) return undefined;
      if (token === AMBIGUOUS) return refuseToken(exchange, 'malformed');
      const verdict = verifier.verify(token, exchange.receivedAt);
      if (!(verdict instanceof Promise)) return settle(exchange, place, verdict);
      const from = place;
      const startedAt = performance.now();
      return verdict.then((settled) => {
        metrics.authDuration.record((performance.now() - startedAt) / 1_000);
        return settle(exchange, from, settled);
      });
    },
  };
}

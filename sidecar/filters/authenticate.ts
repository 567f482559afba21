import type { AccessEvaluator, Identity } from '../../policy/evaluate/access-evaluator.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Decision, type Denial, denial, type Filter } from '../pipeline/filter.ts';
import type { TokenRefusal, TokenVerdict, TokenVerifier } from '../tokens/token-verifier.ts';
import { AMBIGUOUS, type CredentialPlace } from './credentials.ts';

/** What the authenticate layer works with. */
export interface AuthenticateOptions {
  readonly places: readonly CredentialPlace[];
  readonly verifier: TokenVerifier;
  readonly evaluator: AccessEvaluator;
  readonly metrics: PolicyMetrics;
  /** Charges the address's anonymous rates for a failed attempt; a denial of it answers instead of the 401. */
  readonly spendAnonymous: (exchange: Exchange) => Decision | Promise<Decision>;
  readonly shadow: boolean;
}

const refusals = new Map<TokenRefusal, Denial>();

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
 * Finds a token, has it verified and sets the identity. No token is no denial: authorize decides whether one is needed. A bad
 * token is refused unless the rule lets in anonymous requests: there it is counted and ignored.
 */
export function authenticate(options: AuthenticateOptions): Filter {
  const { places, verifier, evaluator, metrics, spendAnonymous, shadow } = options;

  const settle = (exchange: Exchange, place: CredentialPlace, verdict: TokenVerdict): Decision | Promise<Decision> => {
    if (typeof verdict === 'string') return refuse(exchange, verdict);
    if (!place.authenticators.has(verdict.authenticator)) return refuse(exchange, 'issuer');
    metrics.tokenAccepted();
    let identity = verdict.identity as Identity | null;
    if (identity === null || identity.evaluator !== evaluator) {
      identity = evaluator.identify(verdict.claims);
      verdict.identity = identity;
    }
    exchange.identity = identity;
    exchange.identityFromCookie = place.cookie;
    return undefined;
  };

  const refuse = (exchange: Exchange, reason: TokenRefusal): Decision | Promise<Decision> => {
    metrics.tokenRefused(reason);
    if (evaluator.allowsAnonymous(exchange.rule)) return undefined;
    const refusal = invalidToken(reason);
    // In Shadow the request goes on, and the limit layer charges it as anonymous by itself.
    if (shadow) return refusal;
    const spent = spendAnonymous(exchange);
    return spent instanceof Promise ? spent.then((over) => over ?? refusal) : (spent ?? refusal);
  };

  return {
    name: 'authenticate',
    shadow,
    onRequest: (exchange) => {
      for (const place of places) {
        const token = place.find(exchange);
        if (token === undefined) continue;
        if (token === AMBIGUOUS) return refuse(exchange, 'malformed');
        const verdict = verifier.verify(token, exchange.receivedAt);
        if (!(verdict instanceof Promise)) return settle(exchange, place, verdict);
        const startedAt = performance.now();
        return verdict.then((settled) => {
          metrics.authDuration.record((performance.now() - startedAt) / 1_000);
          return settle(exchange, place, settled);
        });
      }
      return undefined;
    },
  };
}

import type { AccessBundle } from '../bundle/types.ts';
import { identityReader } from './identity.ts';
import type { NormalizedPath } from './normalize-path.ts';
import { nameSpaceOf, type PermissionSet } from './permission-set.ts';
import { compileDecisions } from './rule-decision.ts';
import { RuleFinder } from './rule-finder.ts';

/** The rule that a request falls under. */
export interface RuleMatch {
  readonly name: string;
  /** Position in the policy's list of rules. */
  readonly index: number;
  /** Decoded values of the pattern's parameters; built when first read. */
  readonly params: Readonly<Record<string, string>>;
}

/** Who is asking, as one policy reads one token's claims. Safe to share between requests of that token. */
export interface Identity {
  readonly user: string | null;
  readonly roles: readonly string[];
  readonly tenant: string | null;
  readonly tierClaim: string | null;
  readonly permissions: PermissionSet;
  readonly claims: Readonly<Record<string, unknown>>;
  /** The evaluator that derived it; another one reads `claims` again. */
  readonly evaluator: AccessEvaluator;
}

/** What conditions may read of a request. The pipeline's exchange is one. */
export interface RequestFacts {
  readonly method: string;
  /** Empty, or from `?` on. */
  readonly query: string;
  /** Lower-case names and values as received, alternating. */
  readonly headers: readonly string[];
  readonly clientAddress: string;
  /** Epoch milliseconds. */
  readonly receivedAt: number;
}

/** Why a request is not let in: no credentials where some are needed (401), or the reasons for 403. */
export type AccessDenial =
  | 'unauthenticated'
  | 'no_rule'
  | 'forbidden'
  | 'condition_error'
  | 'tenant_mismatch'
  | 'outside_schedule';

/** The decisions of one AccessPolicy. Pure: the same arguments give the same answer. Never throws. */
export interface AccessEvaluator {
  /**
   * The rule for a request: among those that match host, path and method the one with the most specific path (literal >
   * {param} > `**`, from the left); then exact host > wildcard (longer first) > none; then methods named > GET standing in
   * for HEAD > methods omitted; then the one written first.
   * @param host as `normalizeHost` returns it
   */
  findRule(host: string, path: NormalizedPath, method: string): RuleMatch | null;
  /** Reads verified claims by the policy's JSON pointers. */
  identify(claims: Readonly<Record<string, unknown>>): Identity;
  /** `Allow`, or why not. Default deny: an error in a condition denies, so does a request that no rule matches. */
  authorize(match: RuleMatch | null, identity: Identity | null, facts: RequestFacts): 'Allow' | AccessDenial;
  /** Whether the rule may let in a request without credentials: a bad token is then ignored and counted. */
  allowsAnonymous(match: RuleMatch | null): boolean;
}

/**
 * Compiles a policy into closures, a segment tree and bit sets.
 * @throws PortcullisError `bundle_invalid` for a pattern, host, condition or schedule that compile() would not have let through
 */
export function compileAccess(bundle: AccessBundle): AccessEvaluator {
  const names = nameSpaceOf(bundle);
  const finder = new RuleFinder(bundle.rules, bundle.pathMatching);
  const decisions = compileDecisions(bundle.rules, names);
  const readIdentity = identityReader(bundle.identity, names);
  const evaluator: AccessEvaluator = {
    findRule: (host, path, method) => finder.find(host, path, method),
    identify: (claims) => readIdentity(claims, evaluator),
    authorize(match, identity, facts) {
      // A token cached under the policy before a reload carries that policy's bits: read its claims again.
      const current =
        identity === null || identity.evaluator === evaluator ? identity : evaluator.identify(identity.claims);
      const decision = match === null ? undefined : decisions[match.index];
      if (match === null || decision === undefined) return current === null ? 'unauthenticated' : 'no_rule';
      return decision.authorize(match, current, facts);
    },
    allowsAnonymous: (match) => match !== null && decisions[match.index]?.anonymous === true,
  };
  return evaluator;
}

import type { AccessBundle, LimitsBundle } from '../../policy/bundle/types.ts';
import { SILENT_SINK } from '../../runtime/log.ts';
import { NO_METRICS } from '../metrics/policy-metrics.ts';
import { buildPipeline } from '../pipeline/build-pipeline.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { runRequest } from '../pipeline/run-pipeline.ts';
import type { Stores } from '../stores/open-stores.ts';
import { candidateExchange } from './candidate-exchange.ts';
import { NONE, reachedSubjects, type Verdict } from './verdict.ts';

/** Rate limits that are tried on requests after they are over. */
export interface LimitsCandidate {
  /** Counts a request, at `now` (epoch milliseconds), and says what would have become of it. */
  decide(live: Exchange, now: number): Promise<Verdict>;
}

/**
 * Compiles the limits of a candidate, to be tried as with mode Enforce, with the identities that the live policy `access` finds.
 * `stores` must count under a group of their own. Throws `bundle_invalid`, as buildPipeline.
 */
export function compileLimitsCandidate(access: AccessBundle, bundle: LimitsBundle, stores: Stores): LimitsCandidate {
  // Limits alone are tried: blocks, breakers and the like would be of requests that were never refused.
  const { penalties: _p, threats: _t, connections: _c, circuitBreaker: _b, egress: _e, ...rest } = bundle;
  const limits: LimitsBundle = { ...rest, mode: 'Enforce' };
  const { filters } = buildPipeline({
    access,
    limits,
    stores,
    bodies: null,
    verifier: { verify: () => 'malformed' }, // nobody asks it
    metrics: NO_METRICS,
    sink: SILENT_SINK,
  });
  const byAddress = filters.filter(({ name }) => name === 'limit-by-address');
  const all = [...byAddress, ...filters.filter(({ name }) => name === 'limit-by-subject')];
  const names = new Set(limits.limits.map(({ name }) => name));
  return {
    decide: async (live, now) => {
      const exchange = candidateExchange(live, live.query, access.pathMatching, now);
      if (exchange === null) return ALLOWED; // no path of the live policy's is
      exchange.rule = live.rule;
      exchange.identity = live.identity;
      let fault: unknown;
      const decision = await runRequest(reachedSubjects(live) ? all : byAddress, exchange, (_, error) => {
        fault = error;
      });
      if (fault !== undefined) throw fault;
      if (decision?.kind !== 'deny') return ALLOWED;
      const { code, reason } = decision;
      return { decision: code, rule: names.has(reason) ? reason : NONE, reason };
    },
  };
}

const ALLOWED: Verdict = { decision: 'allow', rule: NONE, reason: '' };

import type { AddressLimit, CompiledLimit, LimitMatcher } from '../../policy/evaluate/limit-matcher.ts';
import { rateLimitHeaders, strictestOf } from '../../policy/evaluate/limiter/rate-limit-headers.ts';
import type { TierOf } from '../../policy/evaluate/tiers.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Decision, type Denial, denial, type Filter } from '../pipeline/filter.ts';
import type { Admission, Demand, LimiterStore } from '../stores/limiter-store.ts';

/** Answer headers that a policy with limits decides alone. */
export const LIMIT_HEADERS: readonly string[] = ['ratelimit', 'ratelimit-policy'];

/** What the limit layers work with. */
export interface LimitOptions {
  readonly matcher: LimitMatcher;
  readonly tierOf: TierOf;
  readonly store: LimiterStore;
  readonly metrics: PolicyMetrics;
  readonly shadow: boolean;
}

/** The limit layers of one RateLimitPolicy: by address before authentication, by subject after it. */
export interface LimitLayers {
  readonly byAddress: Filter;
  readonly bySubject: Filter;
  /** Charges a request whose credentials were refused as an anonymous one of its address; does nothing in Shadow. */
  readonly spendAnonymous: (exchange: Exchange) => Decision | Promise<Decision>;
  /** False: no Reserved lane is open to this request, whoever sends it. For what decides before authentication. */
  isReservedCandidate(exchange: Exchange): boolean;
}

/** Builds the layers; they count through one store. In Shadow they add no headers either. */
export function limitLayers(options: LimitOptions): LimitLayers {
  const { matcher, tierOf, store, metrics, shadow } = options;

  const consume = (exchange: Exchange, demands: readonly Demand[]): Decision | Promise<Decision> => {
    const admission = store.consume(demands, exchange.receivedAt);
    return admission instanceof Promise
      ? admission.then((settled) => settle(exchange, demands, settled))
      : settle(exchange, demands, admission);
  };

  const settle = (exchange: Exchange, demands: readonly Demand[], admission: Admission): Decision => {
    if (!shadow) {
      exchange.demands = exchange.demands === null ? demands : [...exchange.demands, ...demands];
      exchange.quotas = exchange.quotas === null ? admission.quotas : [...exchange.quotas, ...admission.quotas];
    }
    return admission.admitted ? undefined : overLimit(exchange, demands, admission);
  };

  const overLimit = (exchange: Exchange, demands: readonly Demand[], admission: Admission): Denial => {
    const { plan } = demands[strictestOf(admission.quotas)]!;
    metrics.overLimit(plan.name, exchange.tier);
    const refusedByStore = admission.degraded && plan.onStoreFailure === 'Deny';
    return denial(refusedByStore ? 'store_unavailable' : 'rate_limited', 'limit', plan.name);
  };

  const isReservedCandidate = ({ host, path, method }: Exchange): boolean =>
    matcher.isReservedCandidate(host, path, method) && method !== 'OPTIONS';

  const subject = (exchange: Exchange, identity: Exchange['identity']): Decision | Promise<Decision> => {
    const { host, path, method } = exchange;
    const limits = matcher.bySubject(host, path, method);
    const candidate = isReservedCandidate(exchange);
    if (limits.length === 0 && !candidate) return undefined;
    exchange.tier = tierOf(identity, exchange);
    if (candidate) return candidateFor(exchange, identity, limits);
    const demands = subjectDemands(limits, exchange, identity);
    return demands.length === 0 ? undefined : consume(exchange, demands);
  };

  /** In a lane a request is counted there only; outside also by address, which was left undecided until now. */
  const candidateFor = (
    exchange: Exchange,
    identity: Exchange['identity'],
    limits: readonly CompiledLimit[],
  ): Decision | Promise<Decision> => {
    const { host, path, method } = exchange;
    const outside = (): Decision | Promise<Decision> => {
      const byAddress = addressDemands(matcher.byAddress(host, path, method), exchange);
      const demands = [...byAddress, ...subjectDemands(limits, exchange, identity)];
      return demands.length === 0 ? undefined : consume(exchange, demands);
    };
    if (identity === null) return outside();
    const demands = subjectDemands(matcher.reserved(host, path, method), exchange, identity);
    const enter = (admission: Admission): Decision | Promise<Decision> => {
      if (!admission.admitted) return outside();
      exchange.reservedLane = true;
      return settle(exchange, demands, admission);
    };
    const admission = store.consume(demands, exchange.receivedAt);
    return admission instanceof Promise ? admission.then(enter) : enter(admission);
  };

  return {
    byAddress: {
      name: 'limit-by-address',
      shadow,
      onRequest: (exchange) => {
        const limits = matcher.byAddress(exchange.host, exchange.path, exchange.method);
        if (limits.length === 0 || isReservedCandidate(exchange)) return undefined;
        return consume(exchange, addressDemands(limits, exchange));
      },
      onResponse: (exchange, headers) => {
        if (exchange.quotas === null || exchange.demands === null) return;
        const { policy, rateLimit, retryAfter } = rateLimitHeaders(exchange.demands, exchange.quotas);
        headers.push('ratelimit-policy', policy, 'ratelimit', rateLimit);
        if (retryAfter !== null) headers.push('retry-after', retryAfter);
      },
    },
    bySubject: { name: 'limit-by-subject', shadow, onRequest: (exchange) => subject(exchange, exchange.identity) },
    spendAnonymous: shadow ? () => undefined : (exchange) => subject(exchange, null),
    isReservedCandidate,
  };
}

function addressDemands(limits: readonly AddressLimit[], exchange: Exchange): Demand[] {
  return limits.map(({ counter }) => ({ plan: counter.plan, key: counter.keyPrefix + exchange.addressKey }));
}

function subjectDemands(
  limits: readonly CompiledLimit[],
  exchange: Exchange,
  identity: Exchange['identity'],
): Demand[] {
  const demands: Demand[] = [];
  const { addressKey, tier } = exchange;
  const rule = exchange.rule?.name ?? '';
  for (const { counters, subject } of limits) {
    const counter = counters.get(tier) ?? null;
    if (counter === null) continue;
    demands.push({ plan: counter.plan, key: counter.keyPrefix + subject(addressKey, identity, tier, rule) });
  }
  return demands;
}

import { DEFAULT_CONNECTIONS } from '../../policy/bundle/connections.ts';
import type { AccessBundle, LimitsBundle } from '../../policy/bundle/types.ts';
import { type AccessEvaluator, compileAccess } from '../../policy/evaluate/access-evaluator.ts';
import { resolveConnection } from '../../policy/evaluate/connection.ts';
import { compileLimitMatcher } from '../../policy/evaluate/limit-matcher.ts';
import { compileTiers } from '../../policy/evaluate/tiers.ts';
import type { LogSink } from '../../runtime/log.ts';
import { compileBrokers } from '../egress/compile-brokers.ts';
import { compileClientAddress } from '../engine/client-address.ts';
import type { Pipeline } from '../engine/engine-context.ts';
import { DEFAULT_UPSTREAM_TIMEOUTS, timeoutsOf } from '../engine/upstream-connection.ts';
import { apiKeyCheck } from '../filters/api-key.ts';
import { authenticate } from '../filters/authenticate.ts';
import { authorize } from '../filters/authorize.ts';
import { breaker } from '../filters/breaker.ts';
import type { Breakers } from '../filters/breakers.ts';
import { CORS_HEADERS, cors } from '../filters/cors.ts';
import type { CredentialCheck } from '../filters/credential-check.ts';
import { credentialPlaces, tokenParameters } from '../filters/credentials.ts';
import { csrf, originTrust } from '../filters/csrf.ts';
import { jwks } from '../filters/jwks.ts';
import { LIMIT_HEADERS, type LimitLayers, limitLayers } from '../filters/limits.ts';
import { LiveCredentials } from '../filters/live-credentials.ts';
import { requestLog } from '../filters/request-log.ts';
import { route } from '../filters/route.ts';
import { securityHeaders } from '../filters/security-headers.ts';
import { shed } from '../filters/shed.ts';
import { signedRequestCheck } from '../filters/signed-request.ts';
import { tokenEndpoint, tokensElsewhere } from '../filters/token-endpoint.ts';
import { type BodyValidators, validateBody } from '../filters/validate-body.ts';
import { websocketSessions } from '../filters/websocket-sessions.ts';
import type { LoadMonitor } from '../load/load-monitor.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Stores } from '../stores/open-stores.ts';
import { threatLayers } from '../threats/threat-layers.ts';
import type { TokenHandlers } from '../token-service/open-token-handlers.ts';
import type { Handler } from '../token-service/ports.ts';
import { revocationCheck } from '../tokens/revocation-check.ts';
import type { TokenVerifier } from '../tokens/token-verifier.ts';
import type { Filter } from './filter.ts';
import { forwardLines } from './forward-lines.ts';

/** The bundles in force and what outlives a change of them. */
export interface PipelineParts {
  readonly access: AccessBundle;
  /** Null where no RateLimitPolicy applies. */
  readonly limits: LimitsBundle | null;
  readonly stores: Stores;
  /** Of `access`, as compileBodies makes them. */
  readonly bodies: BodyValidators;
  readonly verifier: TokenVerifier;
  readonly metrics: PolicyMetrics;
  readonly sink: LogSink;
  /** Left out where nothing is forwarded, as breakers. */
  readonly load?: LoadMonitor;
  /** Left out where nothing is forwarded. */
  readonly breakers?: Breakers;
  /** Looks at every request and decides nothing; absent: nobody tries candidates. */
  readonly candidates?: Filter | null;
  /** What answers token endpoints; absent or null: this pod issues no tokens. */
  readonly tokenHandlers?: TokenHandlers | null;
  /** What ends WebSockets whose credential is gone; absent where none are opened. */
  readonly live?: LiveCredentials;
  /** What clients speak; default http. */
  readonly scheme?: 'http' | 'https';
}

/** Compiles a limits bundle for nothing. Throws what `buildPipeline` would, whatever access policy comes beside it. */
export function checkLimits(bundle: LimitsBundle): void {
  compileLimitMatcher(bundle);
  compileTiers(bundle.tiers);
  compileBrokers(bundle);
}

/**
 * Compiles bundles into the one readable array of layers. Throws PortcullisError `bundle_invalid` or `key_refused` when a bundle
 * cannot be enforced as it stands; nothing is in force half.
 */
export function buildPipeline({
  access,
  limits,
  stores,
  bodies,
  verifier,
  metrics,
  sink,
  load,
  breakers,
  scheme = 'http',
  candidates,
  tokenHandlers,
  live = new LiveCredentials(),
}: PipelineParts): Pipeline {
  const evaluator = compileAccess(access);
  const shadow = access.mode === 'Shadow';
  const layers =
    limits === null
      ? null
      : limitLayers({
          matcher: compileLimitMatcher(limits, access.pathMatching),
          tierOf: compileTiers(limits.tiers),
          store: stores.limiter,
          metrics,
          shadow: limits.mode === 'Shadow',
        });
  const measures = threatLayers({ limits, stores, metrics, sink, pathMatching: access.pathMatching });
  const spendAnonymous = layers?.spendAnonymous ?? (() => undefined);
  const ruleNames = access.rules.map(({ name }) => name);

  const filters: (Filter | null | undefined)[] = [
    candidates,
    requestLog(sink, metrics, ruleNames),
    measures.watch,
    shadow ? null : securityHeaders(access.securityHeaders),
    route(evaluator),
    load === undefined ? null : shed(load, layers?.isReservedCandidate ?? null),
    measures.blocklist,
    layers?.byAddress,
    shadow || access.cors === null ? null : cors(access.cors),
    shadow || !access.tokens || !tokenHandlers ? null : jwks(access.tokens, access.pathMatching, Math.random),
    authenticate({
      places: credentialPlaces(access.jwt),
      verifier,
      revocation: access.revocation ? revocationCheck(access.revocation, access.jwt, stores.revocationsOf) : null,
      checks: credentialChecks(access, stores, evaluator),
      live,
      withoutTokens: tokenParameters(access.jwt),
      evaluator,
      metrics,
      spendAnonymous,
      shadow,
    }),
    csrf(access.cors?.origins ?? [], scheme, shadow),
    measures.blocklistBySubject,
    layers?.bySubject,
    measures.throttle,
    authorize(evaluator, metrics, shadow),
    bodies === null ? null : validateBody(bodies, shadow),
    shadow ? null : tokenLayer(access, tokenHandlers?.(access, stores, evaluator), scheme, metrics, spendAnonymous),
    limits === null ? null : connectionLayer(limits, stores),
    breakers === undefined || limits?.circuitBreaker === undefined ? null : breaker(breakers, limits.mode === 'Shadow'),
  ];

  const owned = new Set<string>();
  if (!shadow) {
    for (const [name] of access.securityHeaders) owned.add(name);
    if (access.cors !== null) for (const name of CORS_HEADERS) owned.add(name);
  }
  if (limits !== null && limits.mode === 'Enforce') for (const name of LIMIT_HEADERS) owned.add(name);

  const clientAddress = compileClientAddress(resolveConnection(access, limits).clientIp);
  breakers?.configure(limits?.circuitBreaker ?? null); // last: nothing after it can fail
  return {
    filters: filters.filter((filter) => filter !== null && filter !== undefined),
    pathMatching: access.pathMatching,
    clientAddress,
    timeouts: limits === null ? DEFAULT_UPSTREAM_TIMEOUTS : timeoutsOf(limits),
    connections: { config: limits?.connections ?? DEFAULT_CONNECTIONS, shadow: limits?.mode === 'Shadow' },
    ownedAnswerHeaders: owned,
    forwardLines: forwardLines(clientAddress, access.forward.identityHeaders, scheme),
  };
}

function connectionLayer({ connections, mode }: LimitsBundle, stores: Stores): Filter | null {
  const perUser = connections?.websocketPerUser;
  return perUser === undefined ? null : websocketSessions(stores.websocketSessions(), perUser, mode === 'Shadow');
}

/** Ways other than tokens; none where the policy names none. */
function credentialChecks(
  { apiKeys = [], signedRequests = [], identity }: AccessBundle,
  stores: Stores,
  evaluator: AccessEvaluator,
): CredentialCheck[] {
  const checks = apiKeys.map((list) => apiKeyCheck(list, identity, evaluator));
  if (signedRequests.length > 0) checks.push(signedRequestCheck(signedRequests, stores.noncesOf, identity, evaluator));
  return checks;
}

/** Null where the policy says nothing of tokens. `handlers` undefined: this pod issues none. */
function tokenLayer(
  { tokens, pathMatching, cors }: AccessBundle,
  handlers: ReadonlyMap<string, Handler> | undefined,
  scheme: 'http' | 'https',
  metrics: PolicyMetrics,
  spendAnonymous: LimitLayers['spendAnonymous'],
): Filter | null {
  if (tokens === undefined) return null;
  if (handlers === undefined) return tokensElsewhere(tokens, pathMatching);
  if (handlers.size === 0) return null;
  const originTrusted = originTrust(cors?.origins ?? [], scheme);
  return tokenEndpoint({ handlers, pathMatching, metrics, originTrusted, spendAnonymous });
}

import type { AccessBundle, LimitsBundle } from '../../policy/bundle/types.ts';
import { compileAccess } from '../../policy/evaluate/access-evaluator.ts';
import { resolveConnection } from '../../policy/evaluate/connection.ts';
import { compileLimitMatcher } from '../../policy/evaluate/limit-matcher.ts';
import { compileTiers } from '../../policy/evaluate/tiers.ts';
import type { LogSink } from '../../runtime/log.ts';
import { compileClientAddress } from '../engine/client-address.ts';
import type { Pipeline } from '../engine/engine-context.ts';
import { DEFAULT_UPSTREAM_TIMEOUTS } from '../engine/upstream-connection.ts';
import { authenticate } from '../filters/authenticate.ts';
import { authorize } from '../filters/authorize.ts';
import { CORS_HEADERS, cors } from '../filters/cors.ts';
import { credentialPlaces } from '../filters/credentials.ts';
import { csrf } from '../filters/csrf.ts';
import { jwks } from '../filters/jwks.ts';
import { LIMIT_HEADERS, limitLayers } from '../filters/limits.ts';
import { requestLog } from '../filters/request-log.ts';
import { route } from '../filters/route.ts';
import { securityHeaders } from '../filters/security-headers.ts';
import { type BodyValidators, validateBody } from '../filters/validate-body.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Stores } from '../stores/open-stores.ts';
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
}

/** Compiles a limits bundle for nothing. Throws what `buildPipeline` would, whatever access policy comes beside it. */
export function checkLimits(bundle: LimitsBundle): void {
  compileLimitMatcher(bundle);
  compileTiers(bundle.tiers);
}

/**
 * Compiles bundles into the one readable array of layers. Throws PortcullisError `bundle_invalid` or `key_refused` when a bundle
 * cannot be enforced as it stands; nothing is in force half.
 */
export function buildPipeline({ access, limits, stores, bodies, verifier, metrics, sink }: PipelineParts): Pipeline {
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
  const ruleNames = access.rules.map(({ name }) => name);

  const filters: (Filter | null | undefined)[] = [
    requestLog(sink, metrics, ruleNames),
    shadow ? null : securityHeaders(access.securityHeaders),
    route(evaluator),
    layers?.byAddress,
    shadow || access.cors === null ? null : cors(access.cors),
    shadow || access.tokens === undefined ? null : jwks(access.tokens, access.pathMatching, Math.random),
    authenticate({
      places: credentialPlaces(access.jwt),
      verifier,
      evaluator,
      metrics,
      spendAnonymous: layers?.spendAnonymous ?? (() => undefined),
      shadow,
    }),
    csrf(access.cors?.origins ?? [], shadow),
    layers?.bySubject,
    authorize(evaluator, metrics, shadow),
    bodies === null ? null : validateBody(bodies, shadow),
  ];

  const owned = new Set<string>();
  if (!shadow) {
    for (const [name] of access.securityHeaders) owned.add(name);
    if (access.cors !== null) for (const name of CORS_HEADERS) owned.add(name);
  }
  if (limits !== null && limits.mode === 'Enforce') for (const name of LIMIT_HEADERS) owned.add(name);

  const clientAddress = compileClientAddress(resolveConnection(access, limits).clientIp);
  return {
    filters: filters.filter((filter) => filter !== null && filter !== undefined),
    pathMatching: access.pathMatching,
    clientAddress,
    timeouts: limits?.timeouts ?? DEFAULT_UPSTREAM_TIMEOUTS,
    ownedAnswerHeaders: owned,
    forwardLines: forwardLines(clientAddress, access.forward.identityHeaders),
  };
}

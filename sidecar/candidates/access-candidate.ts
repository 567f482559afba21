import type { AccessBundle } from '../../policy/bundle/types.ts';
import { SILENT_SINK } from '../../runtime/log.ts';
import type { BodyValidators } from '../filters/validate-body.ts';
import { NO_METRICS } from '../metrics/policy-metrics.ts';
import { buildPipeline } from '../pipeline/build-pipeline.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Filter } from '../pipeline/filter.ts';
import { runRequest } from '../pipeline/run-pipeline.ts';
import type { Stores } from '../stores/open-stores.ts';
import type { TokenVerifier } from '../tokens/token-verifier.ts';
import { candidateExchange } from './candidate-exchange.ts';
import { BodyNotRead, ObservedBody } from './observed-body.ts';
import { NONE, type Verdict } from './verdict.ts';

/** The layers of a candidate: those that decide by the policy alone. It issues no tokens and changes nothing. */
const LAYERS: ReadonlySet<string> = new Set(['route', 'cors', 'authenticate', 'csrf', 'authorize', 'validate-body']);

/** An access policy that is tried on requests after they are over. */
export interface AccessCandidate {
  /** Whether its rules may look at bodies, so that what the live policy reads has to be kept. */
  readonly looksAtBodies: boolean;
  /** What it would have decided; `query` as the client wrote it. Rejects when it fails. */
  decide(live: Exchange, query: string): Promise<Verdict>;
}

/** What a candidate is compiled from. */
export interface AccessCandidateParts {
  readonly bundle: AccessBundle;
  /** Of `bundle`, as compileBodies makes them. */
  readonly bodies: BodyValidators;
  /** Of its own. */
  readonly verifier: TokenVerifier;
  /** Where it must not spend what live requests need, stores of its own. */
  readonly stores: Stores;
  /** What clients speak. */
  readonly scheme: 'http' | 'https';
}

/** Compiles a candidate, to be tried as with mode Enforce. Throws `bundle_invalid` or `key_refused`, as buildPipeline. */
export function compileAccessCandidate({
  bundle,
  bodies,
  verifier,
  stores,
  scheme,
}: AccessCandidateParts): AccessCandidate {
  const { tokens: _, ...rest } = bundle;
  const access: AccessBundle = { ...rest, mode: 'Enforce' };
  const pipeline = buildPipeline({
    access,
    limits: null,
    stores,
    bodies,
    verifier,
    metrics: NO_METRICS,
    sink: SILENT_SINK,
    scheme,
  });
  const filters = pipeline.filters.filter(({ name }) => LAYERS.has(name));
  return {
    looksAtBodies: bodies !== null || access.signedRequests !== undefined,
    decide: (live, query) => decide(filters, access, live, query),
  };
}

async function decide(
  filters: readonly Filter[],
  { pathMatching }: AccessBundle,
  live: Exchange,
  query: string,
): Promise<Verdict> {
  const exchange = candidateExchange(live, query, pathMatching, live.receivedAt);
  if (exchange === null) return { decision: 'bad_path', rule: NONE, reason: 'pathMatching refuses it' };
  if (live.body instanceof ObservedBody) exchange.body = live.body.afterwards;
  let fault: unknown;
  const decision = await runRequest(filters, exchange, (_, error) => {
    fault = error;
  });
  const rule = exchange.rule?.name ?? NONE;
  if (fault instanceof BodyNotRead) return { decision: 'body_not_read', rule, reason: '' };
  if (fault !== undefined) throw fault;
  if (decision === undefined) return { decision: 'allow', rule, reason: '' };
  if (decision.kind === 'answer') return { decision: 'answer', rule, reason: '' };
  return { decision: decision.code, rule, reason: decision.reason };
}

import type { AccessBundle } from '../../policy/bundle/types.ts';
import type { BodyConfig } from '../../policy/evaluate/body/body-config.ts';
import type { LogSink } from '../../runtime/log.ts';
import type { Policies } from '../enforcement.ts';
import { buildExchange } from '../engine/build-exchange.ts';
import { checkHead } from '../engine/check-head.ts';
import { parseRequestHead } from '../engine/request-head.ts';
import { type Cause, RESCUE } from '../engine/rescue.ts';
import { NO_METRICS } from '../metrics/policy-metrics.ts';
import { buildPipeline } from '../pipeline/build-pipeline.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import type { Decision, Filter } from '../pipeline/filter.ts';
import { runRequest } from '../pipeline/run-pipeline.ts';
import { fullQuota } from '../stores/full-quota.ts';
import type { Admission, Demand, LimiterStore } from '../stores/limiter-store.ts';
import { memoryStores } from '../stores/open-stores.ts';
import type { TokenVerdict, TokenVerifier } from '../tokens/token-verifier.ts';
import { explainDecision, whyNoRule } from './explain-rules.ts';
import type { ExplainRequest, Explanation, LayerVerdict } from './explanation.ts';

/** Stands where a token would when claims are given instead of one. No token: it has no dots. */
const CLAIMS_GIVEN = 'claims-given';

/**
 * Takes a request that nobody sent through the very layers that real ones go through, and says what each decides. Limits count
 * nothing and are taken to admit; tokens are verified. `now`: epoch milliseconds.
 */
export async function explain(policies: Policies, request: ExplainRequest, now: number): Promise<Explanation> {
  const store = new RecordingStore();
  const verifier = new ListeningVerifier(policies, request);
  const { access } = policies;
  const pipeline = buildPipeline({
    access,
    limits: policies.limits,
    stores: { ...memoryStores(), limiter: store },
    bodies: null,
    verifier,
    metrics: NO_METRICS,
    sink: SILENT,
  });
  const head = parseRequestHead(headText(request, access));
  const checked = typeof head === 'string' ? head : checkHead(head);
  const exchange =
    typeof checked === 'string'
      ? checked
      : buildExchange(checked, request.client, pipeline, () => 'explain', { receivedAt: now, startedAt: 0 });
  if (typeof exchange === 'string') return refused(request, 'http', exchange, [RESCUE[exchange].detail]);

  const layers: LayerVerdict[] = [];
  const spied = pipeline.filters.map((filter): Filter => {
    const { onRequest } = filter;
    if (onRequest === undefined) return filter;
    return {
      ...filter,
      onRequest: async (asked) => {
        const decision = await onRequest(asked);
        layers.push({
          layer: filter.name,
          decision: decision === undefined ? 'pass' : decision.kind === 'deny' ? decision.code : 'answer',
          shadow: filter.shadow === true,
          details: describe(filter.name, decision, asked, policies, verifier, store),
        });
        return decision;
      },
    };
  });
  const decision = await runRequest(spied, exchange, ({ name }, error) => {
    const details = [`failed: ${(error as Error).message}`];
    layers.push({ layer: name, decision: 'internal_error', shadow: false, details });
  });
  const { method, host, path, clientAddress, rule } = exchange;
  const body = decision === undefined && rule !== null ? access.rules[rule.index]?.body : undefined;
  if (body !== undefined) layers.push(unseenBody(body, access.mode === 'Shadow'));
  return {
    request: { method, host, path, client: clientAddress },
    rule: rule?.name ?? null,
    layers,
    status: decision === undefined ? null : decision.kind === 'answer' ? decision.status : RESCUE[decision.code].status,
    code: decision?.kind === 'deny' ? decision.code : null,
  };
}

/** There is no body to look at: what it would have to be. */
function unseenBody({ contentTypes, maxBytes, schema, rules }: BodyConfig, shadow: boolean): LayerVerdict {
  const demands = [
    contentTypes.join(' or '),
    `at most ${maxBytes} bytes`,
    ...(schema === null ? [] : ['as its schema says']),
    ...(rules.length === 0 ? [] : [`as ${rules.length} rules say`]),
  ];
  return { layer: 'validate-body', decision: 'pass', shadow, details: [`a body must be ${demands.join(', ')}`] };
}

/** The explanation of a request that is refused before any policy is asked. */
export function refused(request: ExplainRequest, layer: string, code: Cause, details: readonly string[]): Explanation {
  const { method, host, target, client } = request;
  return {
    request: { method, host, path: target, client },
    rule: null,
    layers: [{ layer, decision: code, shadow: false, details }],
    status: RESCUE[code].status,
    code,
  };
}

function describe(
  layer: string,
  decision: Decision,
  exchange: Exchange,
  { access }: Policies,
  verifier: ListeningVerifier,
  store: RecordingStore,
): string[] {
  const { rule, identity } = exchange;
  switch (layer) {
    case 'route':
      return rule === null
        ? whyNoRule(access, exchange)
        : [
            `rule "${rule.name}"`,
            ...Object.entries(rule.params).map(([name, value]) => `path.${name} = ${JSON.stringify(value)}`),
          ];
    case 'authenticate': {
      const charged = store.take().map(limitText);
      if (identity === null) return [...verifier.words(decision), ...charged];
      const { user, roles, tenant } = identity;
      return [
        ...verifier.words(decision),
        `user ${user}, roles ${roles.join(', ') || 'none'}, tenant ${tenant}`,
        ...charged,
      ];
    }
    case 'limit-by-address':
    case 'limit-by-subject': {
      const counted = store.take().map(limitText);
      const tier = layer === 'limit-by-subject' ? [`tier ${exchange.tier}`] : [];
      return counted.length === 0 ? ['no limit applies'] : [...tier, ...counted];
    }
    case 'csrf':
      return exchange.identityFromCookie ? [decision === undefined ? 'the origin is trusted' : reasonOf(decision)] : [];
    case 'authorize':
      return rule === null
        ? ['no rule, and what no rule allows is refused']
        : explainDecision(access, rule, identity, exchange);
    default:
      return decision === undefined ? [] : [reasonOf(decision)];
  }
}

function reasonOf(decision: NonNullable<Decision>): string {
  return decision.kind === 'deny' ? decision.reason : `answered here with ${decision.status}`;
}

function limitText({ plan, key }: Demand): string {
  const { name, algorithm, limit, windowMs, burst } = plan;
  const bucket = algorithm === 'TokenBucket' ? `, burst ${burst}` : '';
  return `limit "${name}": ${limit} in ${windowMs / 1_000} s (${algorithm}${bucket}), counted as ${key}`;
}

/** The request as it would stand on the wire, the credential where the policy looks first. */
function headText({ method, target, host, headers, credential }: ExplainRequest, { jwt }: AccessBundle): string {
  const fields = [`host: ${host}`, ...headers.map(([name, value]) => `${name}: ${value}`)];
  const source = jwt[0]?.from[0];
  if (credential !== null && source !== undefined) {
    const token = 'token' in credential ? credential.token : CLAIMS_GIVEN;
    if (source.kind === 'cookie') fields.push(`cookie: ${source.cookie}=${token}`);
    else fields.push(`${source.header}: ${source.scheme === '' ? '' : `${source.scheme} `}${token}`);
  }
  return `${method} ${target} HTTP/1.1\r\n${fields.join('\r\n')}`;
}

/** Verifies for real, but for claims that are given; remembers the verdict. */
class ListeningVerifier implements TokenVerifier {
  readonly #policies: Policies;
  readonly #request: ExplainRequest;
  #verdict: TokenVerdict | null = null;

  constructor(policies: Policies, request: ExplainRequest) {
    this.#policies = policies;
    this.#request = request;
  }

  async verify(token: string, now: number): Promise<TokenVerdict> {
    const { credential } = this.#request;
    const { access, verifier } = this.#policies;
    const authenticator = access.jwt[0]?.name ?? '';
    const verdict: TokenVerdict =
      token === CLAIMS_GIVEN && credential !== null && 'claims' in credential
        ? { claims: credential.claims, authenticator, kid: '', refuseAfter: 0, refuseBefore: 0, identity: null }
        : await verifier.verify(token, now);
    // A copy: real requests share the verified token, and the identity that our filters derive is not theirs.
    this.#verdict = typeof verdict === 'string' ? verdict : { ...verdict, identity: null };
    return this.#verdict;
  }

  words(decision: Decision): string[] {
    const verdict = this.#verdict;
    if (verdict === null) {
      if (this.#policies.access.jwt.length === 0) return ['the policy authenticates nobody'];
      return [decision === undefined ? 'no token' : 'more than one token in one place'];
    }
    if (typeof verdict !== 'string') {
      return [verdict.kid === '' ? 'claims taken as given' : `token of "${verdict.authenticator}", key ${verdict.kid}`];
    }
    return [
      `token refused: ${verdict}${decision === undefined ? '; ignored, because the rule lets in anonymous requests' : ''}`,
    ];
  }
}

/** Admits everything, counts nothing, and remembers what would have been counted. */
class RecordingStore implements LimiterStore {
  readonly available = true;
  readonly replicas = 1;
  #demands: Demand[] = [];

  consume(demands: readonly Demand[]): Admission {
    this.#demands.push(...demands);
    return { admitted: true, quotas: demands.map(({ plan }) => fullQuota(plan)), degraded: false };
  }

  /** What was asked for since the last call. */
  take(): Demand[] {
    const demands = this.#demands;
    this.#demands = [];
    return demands;
  }

  async close(): Promise<void> {}
}

const SILENT: LogSink = { stream: { write: () => {} }, write: () => {}, dropped: () => 0, close: () => {} };

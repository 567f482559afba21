import type { LogSink } from '../../runtime/log.ts';
import type { Policies } from '../../sidecar/enforcement.ts';
import { buildExchange } from '../../sidecar/engine/build-exchange.ts';
import { checkHead } from '../../sidecar/engine/check-head.ts';
import { parseRequestHead } from '../../sidecar/engine/request-head.ts';
import { RESCUE } from '../../sidecar/engine/rescue.ts';
import type { ExplainRequest } from '../../sidecar/explain/explanation.ts';
import { NO_METRICS } from '../../sidecar/metrics/policy-metrics.ts';
import { buildPipeline } from '../../sidecar/pipeline/build-pipeline.ts';
import { runRequest } from '../../sidecar/pipeline/run-pipeline.ts';
import { fullQuota } from '../../sidecar/stores/full-quota.ts';
import type { LimiterStore } from '../../sidecar/stores/limiter-store.ts';
import { memoryStores } from '../../sidecar/stores/open-stores.ts';
import type { TokenVerdict } from '../../sidecar/tokens/token-verifier.ts';
import type { AccessDecision } from './parse-cases.ts';

/** What becomes of a request. */
export interface Outcome {
  readonly decision: AccessDecision;
  /** Of the answer; null: forwarded, and the application answers. */
  readonly status: number | null;
  /** Why it is refused, a code of docs/errors.md; null: it is not. */
  readonly code: string | null;
  /** The rule of the access policy; null: none. */
  readonly rule: string | null;
}

/** Decides requests that nobody sent, one at a time. `now`: epoch milliseconds. */
export type Decide = (request: ExplainRequest, now: number) => Promise<Outcome>;

/** Stands where a token would when claims are given. No token: it has no dots. */
const CLAIMS_GIVEN = 'claims-given';

/** Limits are not counted; without their bundle, though, the client's address might be another. */
const UNCOUNTED: LimiterStore = {
  available: true,
  replicas: 1,
  consume: (demands) => ({ admitted: true, quotas: demands.map(({ plan }) => fullQuota(plan)), degraded: false }),
  close: async () => {},
};

const SILENT: LogSink = { stream: { write: () => {} }, write: () => {}, dropped: () => 0, close: () => {} };

/** Compiles policies once, for any number of requests: the outcomes are those of `explain`, which compiles for each. */
export function compileDecide({ access, limits, verifier }: Policies): Decide {
  let given: TokenVerdict | null = null;
  const pipeline = buildPipeline({
    access,
    limits,
    stores: { ...memoryStores(), limiter: UNCOUNTED },
    bodies: null,
    verifier: {
      verify: (token, now) => (token === CLAIMS_GIVEN && given !== null ? given : verifier.verify(token, now)),
    },
    metrics: NO_METRICS,
    sink: SILENT,
  });
  const authenticator = access.jwt[0]?.name ?? '';
  const source = access.jwt[0]?.from[0];

  return async ({ method, target, host, headers, client, credential }, now) => {
    const fields = [['host', host], ...headers];
    given = null;
    if (credential !== null && source !== undefined) {
      const token = 'token' in credential ? credential.token : CLAIMS_GIVEN;
      if ('claims' in credential) {
        const { claims } = credential;
        given = { claims, authenticator, kid: '', refuseAfter: 0, refuseBefore: 0, identity: null };
      }
      if (source.kind === 'cookie') fields.push(['cookie', `${source.cookie}=${token}`]);
      else fields.push([source.header, source.scheme === '' ? token : `${source.scheme} ${token}`]);
    }
    const lines = fields.map(([name, value]) => `${name}: ${value}`);
    const head = parseRequestHead(`${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}`);
    const checked = typeof head === 'string' ? head : checkHead(head);
    const arrival = { receivedAt: now, startedAt: 0 };
    const exchange =
      typeof checked === 'string' ? checked : buildExchange(checked, client, pipeline, () => 'test', arrival);
    if (typeof exchange === 'string') {
      return { decision: 'deny', status: RESCUE[exchange].status, code: exchange, rule: null };
    }
    const decision = await runRequest(pipeline.filters, exchange, () => {});
    const rule = exchange.rule?.name ?? null;
    if (decision === undefined) return { decision: 'allow', status: null, code: null, rule };
    if (decision.kind === 'answer') return { decision: 'allow', status: decision.status, code: null, rule };
    return { decision: 'deny', status: RESCUE[decision.code].status, code: decision.code, rule };
  };
}

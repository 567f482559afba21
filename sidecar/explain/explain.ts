import { SILENT_SINK } from '../../runtime/log.ts';
import type { Policies } from '../enforcement-options.ts';
import { buildExchange } from '../engine/build-exchange.ts';
import { checkHead } from '../engine/check-head.ts';
import { parseRequestHead } from '../engine/request-head.ts';
import { type Cause, type ProtocolRefusal, RESCUE } from '../engine/rescue.ts';
import { compileBodies } from '../filters/validate-body.ts';
import { NO_METRICS } from '../metrics/policy-metrics.ts';
import { buildPipeline } from '../pipeline/build-pipeline.ts';
import type { BodySource, Exchange } from '../pipeline/exchange.ts';
import type { Decision, Filter } from '../pipeline/filter.ts';
import { type FilterFault, runRequest } from '../pipeline/run-pipeline.ts';
import { memoryStores } from '../stores/open-stores.ts';
import { AskedCredential } from './asked-credential.ts';
import { describeLayer, unseenBody } from './describe-layer.ts';
import type { Decided, ExplainRequest, Explanation, LayerVerdict } from './explanation.ts';
import { placeForClaims } from './place-for-claims.ts';
import { RecordingStore } from './recording-store.ts';
import { unaskedEndpoints } from './unasked-endpoints.ts';

/** Policies, compiled for requests that nobody sent; one at a time. `now`: epoch milliseconds. */
export interface Explain {
  /** What would become of a request. */
  decide(request: ExplainRequest, now: number): Promise<Decided>;
  /** The same, with what each layer decides and why. */
  explain(request: ExplainRequest, now: number): Promise<Explanation>;
}

/** Explains one request; see compileExplain. */
export async function explain(policies: Policies, request: ExplainRequest, now: number): Promise<Explanation> {
  return (await compileExplain(policies)).explain(request, now);
}

/**
 * Takes requests that nobody sent through the very layers that real ones go through. Limits count nothing and are taken to admit;
 * tokens are verified; a body is looked at when there is one. @throws PortcullisError `bundle_invalid`
 */
export async function compileExplain(policies: Policies): Promise<Explain> {
  const { limits, issuesTokens, blocks, revocationsOf, scheme = 'http' } = policies;
  const access = placeForClaims(policies.access);
  const store = new RecordingStore();
  const credential = new AskedCredential(access, policies.verifier);
  const pipeline = buildPipeline({
    access,
    limits,
    stores: {
      ...memoryStores(),
      limiter: store,
      ...(blocks && { blocksOf: () => blocks }),
      ...(revocationsOf && { revocationsOf }),
    },
    bodies: policies.bodies === undefined ? await compileBodies(access) : policies.bodies,
    verifier: credential,
    metrics: NO_METRICS,
    sink: SILENT_SINK,
    tokenHandlers: issuesTokens ? unaskedEndpoints : null,
    scheme,
  });
  const withoutBodies = pipeline.filters.filter(({ name }) => name !== 'validate-body');
  const traces = { access, credential, store };

  const begin = (request: ExplainRequest, now: number): Exchange | ProtocolRefusal => {
    store.take();
    const head = parseRequestHead(headText(request, credential.begin(request.credential)));
    const checked = typeof head === 'string' ? head : checkHead(head);
    if (typeof checked === 'string') return checked;
    const arrival = { receivedAt: now, startedAt: 0 };
    const exchange = buildExchange(checked, request.client, pipeline, () => 'explain', arrival);
    if (typeof exchange !== 'string' && request.body !== undefined) exchange.body = bodySource(request.body);
    return exchange;
  };
  const filtersFor = ({ body }: ExplainRequest) => (body === undefined ? withoutBodies : pipeline.filters);

  return {
    decide: async (request, now) => {
      const exchange = begin(request, now);
      if (typeof exchange === 'string') return { status: RESCUE[exchange].status, code: exchange, rule: null };
      return decided(await runRequest(filtersFor(request), exchange, () => {}), exchange);
    },

    explain: async (request, now) => {
      const exchange = begin(request, now);
      if (typeof exchange === 'string') return refused(request, 'http', exchange, [RESCUE[exchange].detail]);
      const layers: LayerVerdict[] = [];
      const onFault: FilterFault = ({ name }, error) => {
        const details = [`failed: ${(error as Error).message}`];
        layers.push({ layer: name, decision: 'internal_error', shadow: false, details });
      };
      const spied = filtersFor(request).map((filter) =>
        spy(filter, (decision) => {
          const word = decision === undefined ? 'pass' : decision.kind === 'deny' ? decision.code : 'answer';
          const details = describeLayer(filter.name, decision, exchange, traces);
          layers.push({ layer: filter.name, decision: word, shadow: filter.shadow === true, details });
        }),
      );
      const decision = await runRequest(spied, exchange, onFault);
      const { method, host, path, clientAddress, rule } = exchange;
      const body = rule === null ? undefined : access.rules[rule.index]?.body;
      if (decision === undefined && request.body === undefined && body !== undefined) {
        layers.push(unseenBody(body, access.mode === 'Shadow'));
      }
      return {
        request: { method, host, path, client: clientAddress },
        layers,
        ...decided(decision, exchange),
      };
    },
  };
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

function decided(decision: Decision, { rule }: Exchange): Decided {
  return {
    rule: rule?.name ?? null,
    status: decision === undefined ? null : decision.kind === 'answer' ? decision.status : RESCUE[decision.code].status,
    code: decision?.kind === 'deny' ? decision.code : null,
  };
}

function spy(filter: Filter, tell: (decision: Decision) => void): Filter {
  const { onRequest } = filter;
  if (onRequest === undefined) return filter;
  return {
    ...filter,
    onRequest: async (exchange) => {
      const decision = await onRequest(exchange);
      tell(decision);
      return decision;
    },
  };
}

/** The request as it would stand on the wire. */
function headText(
  { method, target, host, headers, body }: ExplainRequest,
  credential: readonly [name: string, value: string] | null,
): string {
  const fields = [['host', host], ...headers, ...(credential === null ? [] : [credential])];
  if (body !== undefined) {
    fields.push(['content-length', String(body.length)]);
    if (!headers.some(([name]) => name.toLowerCase() === 'content-type')) fields.push(['content-type', JSON_TYPE]);
  }
  return `${method} ${target} HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}`).join('\r\n')}`;
}

const JSON_TYPE = 'application/json';

function bodySource(body: string): BodySource {
  const bytes = Buffer.from(body, 'latin1');
  return { readBody: async (maxBytes) => (bytes.length > maxBytes ? 'body_too_large' : bytes) };
}

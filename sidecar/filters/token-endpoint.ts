import type { PathMatching, TokensConfig } from '../../policy/bundle/types.ts';
import type { NormalizedPath } from '../../policy/evaluate/normalize-path.ts';
import { RuleFinder } from '../../policy/evaluate/rule-finder.ts';
import type { PolicyMetrics } from '../metrics/policy-metrics.ts';
import type { Exchange } from '../pipeline/exchange.ts';
import { type Decision, type Denial, denial, type Filter } from '../pipeline/filter.ts';
import type { Handler, TokenDenial, TokenEvent, TokenRequest } from '../token-service/ports.ts';
import { type AMBIGUOUS, cookieReader } from './credentials.ts';

/** Far above any password or profile; JSON is parsed on the event loop. */
const MAX_BODY_BYTES = 16 * 1024;
/** Of a name that a client gives, what others may remember. */
const MAX_NAME_CHARACTERS = 256;

const CHALLENGE = ['www-authenticate', 'Bearer'];
const NO_HEADERS: readonly string[] = [];

const NOT_ISSUED = denial('tokens_not_issued', 'tokens', 'this pod issues no tokens');
const POST_ONLY = denial('post_only', 'tokens', 'token endpoints take POST', ['allow', 'POST']);
const OVERLOADED = denial('overloaded', 'tokens', 'too much waits already', ['retry-after', '1']);
const ABORTED = denial('body_invalid', 'tokens', 'the body never came to its end');

/** What the endpoints of one policy work with. */
export interface TokenEndpointOptions {
  /** By path, as they stand in the policy. */
  readonly handlers: ReadonlyMap<string, Handler>;
  readonly pathMatching: PathMatching;
  readonly metrics: PolicyMetrics;
  readonly originTrusted: (exchange: Exchange) => boolean;
  /** Charges the address's anonymous rates for a failed attempt; a denial of it answers instead. */
  readonly spendAnonymous: (exchange: Exchange) => Decision | Promise<Decision>;
}

/** Answers the policy's token endpoints, instead of the application, whatever rule let the request in. The last layer before it. */
export function tokenEndpoint(options: TokenEndpointOptions): Filter {
  const { handlers, pathMatching, metrics, originTrusted, spendAnonymous } = options;
  const all = [...handlers.values()];
  const find = pathFinder(
    [...handlers.keys()].map((path) => ({ path, methods: [] })),
    pathMatching,
  );

  const answer = async (exchange: Exchange, handler: Handler): Promise<Decision> => {
    const body = await exchange.body.readBody(MAX_BODY_BYTES);
    if (body === 'overloaded') return OVERLOADED;
    if (body === 'aborted') return ABORTED;
    if (body === 'body_too_large') return refusal({ denial: body }, null);
    const request = new EndpointRequest(exchange, body, metrics, originTrusted);
    const result = await handler(request);
    if ('status' in result) return { kind: 'answer', ...result };
    if (!('denial' in result)) return result;
    const failed = result.denial === 'credentials_invalid' || result.denial === 'refresh_token_invalid';
    // Without an identity the request was charged to its address as it came.
    const over = failed && exchange.identity !== null ? await spendAnonymous(exchange) : undefined;
    return over ?? refusal(result, request.event);
  };

  return {
    name: 'token-endpoint',
    onRequest: (exchange) => {
      const index = find(exchange.path, exchange.method);
      if (index === null) return undefined;
      return exchange.method === 'POST' ? answer(exchange, all[index] as Handler) : POST_ONLY;
    },
  };
}

/** On pods that issue no tokens: answers 404 where others have their endpoints and their JWKS. */
export function tokensElsewhere({ endpoints, jwksPath }: TokensConfig, pathMatching: PathMatching): Filter {
  const { login, register = null, refresh = null, logout = null } = endpoints ?? {};
  const paths = [login ?? null, register, refresh, logout].flatMap((endpoint) =>
    endpoint === null ? [] : [{ path: endpoint.path, methods: [] }],
  );
  const find = pathFinder([...paths, { path: jwksPath, methods: ['GET'] }], pathMatching);
  return {
    name: 'token-endpoint',
    onRequest: (exchange) => (find(exchange.path, exchange.method) === null ? undefined : NOT_ISSUED),
  };
}

/** The index of the path that a request is for, compared as the policy compares. */
function pathFinder(
  paths: readonly { readonly path: string; readonly methods: readonly string[] }[],
  matching: PathMatching,
): (path: NormalizedPath, method: string) => number | null {
  const rules = paths.map(({ path, methods }) => ({
    name: path,
    match: { hosts: [], paths: [path], methods },
    allow: [],
  }));
  const finder = new RuleFinder(rules, matching);
  // Most requests are for other paths, and most of those are of other lengths; a slash at the end may count or not.
  const lengths: boolean[] = [];
  for (const { path } of paths) for (const length of [path.length, path.length + 1]) lengths[length] = true;
  return (path, method) => (lengths[path.length] === true ? (finder.find('', path, method)?.index ?? null) : null);
}

function refusal({ denial: code, violations }: TokenDenial, event: TokenEvent | null): Denial {
  if (code === 'overloaded') return OVERLOADED;
  const reason =
    violations?.map(({ pointer, code: what }) => `${pointer} ${what}`).join('; ') ?? reasonOf(event) ?? code;
  // RFC 9110 §15.5.2: a 401 names a scheme.
  const headers = code === 'credentials_invalid' || code === 'refresh_token_invalid' ? CHALLENGE : NO_HEADERS;
  return { kind: 'deny', code, layer: 'tokens', reason, headers, ...(violations && { violations }) };
}

function reasonOf(event: TokenEvent | null): string | null {
  if (event?.kind === 'RefreshTokenReused') return 'used again after it was replaced: its family is revoked';
  return event?.kind === 'LoginFailed' ? event.reason : null;
}

/** An exchange as the token service sees it. */
class EndpointRequest implements TokenRequest {
  readonly body: Buffer;
  /** What happened; null: nothing worth telling. */
  event: TokenEvent | null = null;
  readonly #exchange: Exchange;
  readonly #metrics: PolicyMetrics;
  readonly #originTrusted: (exchange: Exchange) => boolean;
  /** As the client wrote it. */
  #name = '';

  constructor(
    exchange: Exchange,
    body: Buffer,
    metrics: PolicyMetrics,
    originTrusted: (exchange: Exchange) => boolean,
  ) {
    this.#exchange = exchange;
    this.body = body;
    this.#metrics = metrics;
    this.#originTrusted = originTrusted;
  }

  get contentType(): string | undefined {
    const exchange = this.#exchange;
    return exchange.header('content-encoding') === undefined ? exchange.header('content-type') : undefined;
  }

  get clientAddress(): string {
    return this.#exchange.clientAddress;
  }

  get identity(): Exchange['identity'] {
    return this.#exchange.identity;
  }

  cookie(name: string): string | undefined | typeof AMBIGUOUS {
    return cookieReader(name)(this.#exchange);
  }

  originTrusted(): boolean {
    return this.#originTrusted(this.#exchange);
  }

  async guard(name: string): Promise<Denial | undefined> {
    this.#name = name.slice(0, MAX_NAME_CHARACTERS);
    return this.#exchange.loginGuard?.(this.#name, this.#exchange);
  }

  upstream(path: string, json: string): ReturnType<TokenRequest['upstream']> {
    const { application, authority, id, clientAddress } = this.#exchange;
    if (application === null) return Promise.resolve('upstream_connect');
    return application.postJson(path, json, ['host', authority, 'x-request-id', id, 'x-forwarded-for', clientAddress]);
  }

  onEvent(event: TokenEvent): void {
    this.event = event;
    if (event.kind === 'LoginFailed') {
      this.#exchange.loginFailure = { user: this.#name };
      this.#metrics.loginFailed();
    } else if (event.kind === 'LoggedIn') this.#exchange.loginSuccess = { user: this.#name };
    else if (event.kind === 'RefreshTokenReused') this.#exchange.refreshReuse = { user: event.user };
  }
}
